import { describe, expect, test } from 'vitest'
import { createGate } from '../../agent/frames/gate.ts'

const MS = { decode: 30, infer: 30 }
const task = () => ({ kind: 'task' as const, model: 'm' })
const frame = () => ({ kind: 'frame' as const, model: 'm' })

function open(processes = 1) {
  let now = 1_000
  let slowMs = 0
  const gate = createGate({
    clock: { elapsed: () => now },
    pace: { cost: () => 60 },
    window: () => 3 * processes,
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
      const runs = [task(), task(), task()]
      for (const run of runs) gate.began(run)
      for (let n = 0; n < 20; n += 1) {
        now += spanMs
        const [ended] = runs.splice(0, 1)
        if (ended) gate.ended(ended, { decode: 0, infer: MS.infer })
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

  test('takes a frame for each idle process, and more only just before one is free', () => {
    const { gate, later } = open(2)
    for (let n = 0; n < 2; n += 1) {
      expect(gate.fits(frame())).toBe(true)
      gate.began(frame())
    }
    expect(gate.fits(frame())).toBe(false)
    expect(gate.waitMs()).toBe(57)
    later(57)
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
