import { describe, expect, test } from 'vitest'
import { createGate } from '../../agent/frames/gate.ts'
import { createHand } from '../../agent/frames/hand.ts'
import type { Waiting } from '../../agent/frames/line.ts'

const MS = { decode: 30, infer: 30 }
const task = () => ({ kind: 'task' as const, model: 'm' })
const frame = () => ({ kind: 'frame' as const, model: 'm' })

function open(processes = 1) {
  let now = 1_000
  let slowMs = 0
  const gate = createGate({
    clock: { elapsed: () => now },
    pace: { cost: () => 60 },
    hand: createHand<Pick<Waiting, 'kind' | 'model'>>(() => processes),
    slow: () => slowMs,
  })
  return {
    gate,
    later(ms: number) {
      now += ms
    },
    slow(ms: number) {
      slowMs = ms
    },
    /** Twenty tasks with the host kept full, one ending every `spanMs`. */
    work(spanMs: number) {
      const runs = Array.from({ length: 3 * processes }, task)
      for (const run of runs) gate.began(run)
      for (let n = 0; n < 20; n += 1) {
        now += spanMs
        const [ended] = runs.splice(0, 1)
        if (ended) gate.ended(ended, MS)
        const next = task()
        gate.began(next)
        runs.push(next)
      }
      for (const run of runs) gate.ended(run)
    },
    /** One run by itself. */
    alone() {
      const run = task()
      gate.began(run)
      now += 60
      gate.ended(run, MS)
    },
  }
}

describe('the gate to the inference host', () => {
  test('takes tasks until the window is full', () => {
    const { gate } = open(2)
    for (let n = 0; n < 6; n += 1) {
      expect(gate.isOpen()).toBe(true)
      gate.began(task())
    }
    expect(gate.isOpen()).toBe(false)
  })

  test('takes a frame for each idle process, and more so that they are decoded just when one is free', () => {
    const { gate, later, alone, work } = open(2)
    work(45)
    for (let n = 0; n < 100; n += 1) alone()
    for (let n = 0; n < 2; n += 1) {
      expect(gate.fits(frame())).toBe(true)
      gate.began(frame())
    }
    expect(gate.fits(frame())).toBe(false)
    // Of 60 ms the first 30 are for decoding; 3 more for the way.
    expect(gate.waitMs()).toBeCloseTo(27)
    later(26)
    expect(gate.fits(frame())).toBe(false)
    later(1)
    expect(gate.fits(frame())).toBe(true)
  })

  test('takes no frame behind a run that waits itself, and foresees the end of one that was decoded while it waited', () => {
    const { gate, later, alone, work } = open()
    alone()
    work(45)
    const [first, second] = [task(), task()]
    gate.began(first)
    gate.began(second)
    expect(gate.fits(frame())).toBe(false)
    expect(gate.waitMs()).toBe(Number.POSITIVE_INFINITY)
    later(60)
    gate.ended(first, MS)
    // The second one takes its 45 ms, and the frame has to be there for 33 of them.
    expect(gate.fits(frame())).toBe(false)
    expect(gate.waitMs()).toBeCloseTo(12)
    later(13)
    expect(gate.fits(frame())).toBe(true)
  })

  test('takes frames in deep where hiding the decoding pays, so that they still come within two run times', () => {
    const { gate, alone, work } = open()
    alone()
    work(32)
    for (let n = 0; n < 3; n += 1) {
      expect(gate.fits(frame())).toBe(true)
      gate.began(frame())
    }
  })

  test('keeps frames back where it does not pay: three runs would take longer than two run times', () => {
    const { gate, alone, work } = open()
    alone()
    work(45)
    gate.began(frame())
    expect(gate.fits(frame())).toBe(false)
    expect(gate.fits(task())).toBe(true)
  })

  test('tries again whether it pays after a while', () => {
    const { gate, alone, work, later } = open()
    alone()
    work(45)
    later(10_001)
    gate.began(frame())
    expect(gate.fits(frame())).toBe(true)
  })

  test('has one run at a time while the board is slowed, with a pause after it, and none while it is too hot', () => {
    const { gate, later, slow } = open()
    const run = task()
    gate.began(run)
    slow(100)
    expect(gate.isOpen()).toBe(false)
    gate.ended(run)
    later(40)
    expect(gate.isOpen()).toBe(false)
    expect(gate.waitMs()).toBe(60)
    later(60)
    expect(gate.isOpen()).toBe(true)
    slow(Number.POSITIVE_INFINITY)
    expect(gate.isShut()).toBe(true)
    expect(gate.isOpen()).toBe(false)
  })
})
