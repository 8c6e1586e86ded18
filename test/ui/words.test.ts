import { describe, expect, it } from 'vitest'
import { ERROR_CODES, IDLE_REASONS } from '../../broker/protocol/messages.ts'
import { dropWords, energyTitle, idleWords, STATE_LABELS, stateWords } from '../../console/ui/words.ts'

describe('dropped frames', () => {
  it.each(ERROR_CODES)('that were refused as %s are told in words', (code) => {
    expect(dropWords({ [code]: 2 })).toMatch(/^2 [a-zA-Z ,]+$/)
    expect(dropWords({ [code]: 2 })).not.toBe(`2 ${code}`)
  })

  it('are told by reason, an unknown one as it is, and those there are none of not at all', () => {
    expect(dropWords({ other: 1_200, late: 0, 'of tomorrow': 1 })).toBe('1,200 for other reasons, 1 of tomorrow')
  })
})

describe('the energy chart', () => {
  const of = (from?: 'measured' | 'estimated') => (from ? { energy: { j: 1, from } } : {})
  it.each([
    [[of(), of('estimated')], 'Energy an inference (estimated)'],
    [[of('measured'), of()], 'Energy an inference (measured)'],
    [[of('measured'), of('estimated')], 'Energy an inference (partly estimated)'],
  ])('says in its title how its numbers are known: %j', (history, title) => {
    expect(energyTitle(history)).toBe(title)
  })
})

describe('an idle board', () => {
  it.each(IDLE_REASONS)('is told in words: %s', (idle) => {
    expect(idleWords({ idle, queue: 0, rate: 0 })).toMatch(/^[A-Z]/)
  })

  it('that cannot work does not look like one that waits for work', () => {
    const labels = IDLE_REASONS.map((idle) => stateWords({ state: 'idle', idle }).label)
    expect(labels).toEqual(['Idle', 'Idle', ...Array(7).fill('Hindered')])
    expect(STATE_LABELS).toEqual(['New', 'Working', 'Idle', 'Late', 'Offline', 'Hindered'])
    expect(stateWords({ state: 'offline' })).toEqual({ label: 'Offline', tone: 'bad' })
  })

  it('that names no reason is stuck where frames wait and none is answered', () => {
    expect(idleWords({ queue: 4, rate: 0 })).toBe('It has work and answers none of it')
    expect(idleWords({ queue: 4, rate: 2 })).not.toContain('none')
  })
})
