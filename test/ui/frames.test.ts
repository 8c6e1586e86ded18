import { describe, expect, it } from 'vitest'
import { createFrames } from '../../console/ui/frames.ts'

function lab(blobOf: (task: string) => Blob | undefined) {
  const fetched: string[] = []
  const open = new Set<string>()
  const frames = createFrames({
    fetchBlob: async (task) => {
      fetched.push(task)
      return blobOf(task)
    },
    measure: async () => ({ width: 4, height: 3 }),
    makeUrl: () => {
      const url = `blob:${fetched.length}`
      open.add(url)
      return url
    },
    revokeUrl: (url) => {
      if (!open.delete(url)) throw new Error(`revoked twice: ${url}`)
    },
  })
  return { frames, fetched, open }
}

const picture = new Blob(['x'], { type: 'image/jpeg' })

describe('frames', () => {
  it('are fetched once however often they are shown', async () => {
    const { frames, fetched } = lab(() => picture)
    const [a, b] = await Promise.all([frames.picture('T1'), frames.picture('T1')])
    expect(a).toBe(b)
    expect(fetched).toEqual(['T1'])
  })

  it('give their memory back: no more than 48 stay, the least used go first', async () => {
    const { frames, fetched, open } = lab(() => picture)
    for (let n = 0; n < 48; n++) await frames.picture(`T${n}`)
    await frames.picture('T0')
    await frames.picture('T48')
    expect(open.size).toBe(48)
    await frames.picture('T0')
    await frames.picture('T1')
    expect(fetched.slice(48)).toEqual(['T48', 'T1'])
    frames.clear()
    await Promise.resolve()
    expect(open.size).toBe(0)
  })

  it('that are gone, or are no picture, are nothing, and hold no address', async () => {
    const { frames, open } = lab((task) => (task === 'sound' ? new Blob(['x'], { type: 'audio/wav' }) : undefined))
    expect(await frames.picture('gone')).toBeUndefined()
    expect(await frames.picture('sound')).toBeUndefined()
    expect(open.size).toBe(0)
  })

  it('are asked for again after the network failed', async () => {
    let fails = true
    const { frames } = lab(() => {
      if (fails) throw new TypeError('fetch failed')
      return picture
    })
    await expect(frames.picture('T1')).rejects.toThrow()
    fails = false
    expect(await frames.picture('T1')).toMatchObject({ width: 4 })
  })
})
