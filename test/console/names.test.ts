import { describe, expect, it } from 'vitest'
import { nameOf } from '../../console/fleet/names.ts'

describe('names', () => {
  it('are three words that follow from the device id', () => {
    expect(nameOf('dev-aaaaaaaaaaaaaaaa')).toMatch(/^[a-z]+-[a-z]+-[a-z]+$/)
    expect(nameOf('dev-aaaaaaaaaaaaaaaa')).toBe(nameOf('dev-aaaaaaaaaaaaaaaa'))
    expect(nameOf('dev-aaaaaaaaaaaaaaaa')).not.toBe(nameOf('dev-aaaaaaaaaaaaaaab'))
  })

  it('has another one ready when a name is taken', () => {
    expect(nameOf('dev-x', 1)).not.toBe(nameOf('dev-x'))
  })

  it('spread over the whole list: a thousand boards collide a few times at most', () => {
    const names = new Set(Array.from({ length: 1000 }, (_, index) => nameOf(`dev-${index}`)))
    expect(names.size).toBeGreaterThan(990)
  })
})
