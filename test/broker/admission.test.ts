import { describe, expect, it } from 'vitest'
import { createAdmission } from '../../broker/embedded/admission.ts'
import { createRetained } from '../../broker/embedded/retained.ts'
import { backoffMs } from '../../broker/link/backoff.ts'

const LIMITS = {
  connections: 5,
  pending: 3,
  connectsPerS: 100,
  connectBurst: 10,
  connectsPerSPerAddress: 1,
  connectBurstPerAddress: 3,
}

describe('admission', () => {
  it('an address spends its burst, is refused, and gets one more each second', () => {
    let now = 0
    const { refusal } = createAdmission(LIMITS, () => now)
    const tries = () => Array.from({ length: 4 }, () => refusal('10.0.0.1', 0, 0))
    expect(tries()).toEqual([undefined, undefined, undefined, 'connect-rate'])
    now = 1_000
    expect(tries()).toEqual([undefined, 'connect-rate', 'connect-rate', 'connect-rate'])
    now = 60_000
    expect(tries()).toEqual([undefined, undefined, undefined, 'connect-rate'])
  })

  it('one address that floods does not use up what others share', () => {
    const { refusal } = createAdmission(LIMITS, () => 0)
    for (let i = 0; i < 1_000; i += 1) refusal('10.0.0.1', 0, 0)
    expect(refusal('10.0.0.2', 0, 0)).toBeUndefined()
  })

  it('many addresses together are held to the total', () => {
    const { refusal } = createAdmission(LIMITS, () => 0)
    const let_in = Array.from({ length: 50 }, (_, i) => refusal(`10.0.0.${i}`, 0, 0)).filter((r) => r === undefined)
    expect(let_in).toHaveLength(10)
  })

  it('a full house is told from a full waiting room', () => {
    const { refusal } = createAdmission(LIMITS, () => 0)
    expect(refusal('10.0.0.1', 5, 0)).toBe('connections-full')
    expect(refusal('10.0.0.1', 4, 3)).toBe('pending-full')
    expect(refusal('10.0.0.1', 4, 2)).toBeUndefined()
  })

  it('a flood from a million addresses is remembered in bounded memory and still held to the total', () => {
    let now = 0
    const { refusal } = createAdmission(LIMITS, () => now)
    let accepted = 0
    for (let i = 0; i < 50_000; i += 1) {
      now += 0.1
      if (refusal(`2001:db8::${i.toString(16)}`, 0, 0) === undefined) accepted += 1
    }
    // Five seconds at 100 per second, and the burst.
    expect(accepted).toBeGreaterThan(500)
    expect(accepted).toBeLessThanOrEqual(511)
  })
})

describe('retained messages', () => {
  const limits = { retainedTopics: 2, retainedBytesEach: 100, retainedBytes: 150 }
  const status = (device: string): string => `bramble/1/d/${device}/status`

  it('only small state of boards is kept', () => {
    const { keep } = createRetained({ ...limits, retainedTopics: 9, retainedBytes: 900 }, 'bramble/1')
    expect(keep(status('dev-a'), 6)).toBe(true)
    expect(keep('bramble/1/d/dev-a/info', 6)).toBe(true)
    expect(keep('homeassistant/device/dev-a/config', 6)).toBe(true)
    for (const topic of [
      'bramble/1/d/dev-a/in/m',
      'bramble/1/d/dev-a/out/m',
      'bramble/1/d/dev-a/hb',
      'other/d/dev-a/status',
    ])
      expect(keep(topic, 6)).toBe(false)
    expect(keep(status('dev-a'), 101)).toBe(false)
  })

  it('topics and bytes are capped, and clearing one makes room', () => {
    const retained = createRetained(limits, 'bramble/1')
    expect(retained.keep(status('a'), 80)).toBe(true)
    expect(retained.keep(status('b'), 80)).toBe(false)
    expect(retained.keep(status('b'), 70)).toBe(true)
    expect(retained.keep(status('c'), 0)).toBe(true)
    expect(retained.keep(status('c'), 1)).toBe(false)
    expect(retained.keep(status('a'), 80)).toBe(true)
    expect(retained.keep(status('b'), 0)).toBe(true)
    expect(retained.topics).toBe(1)
    expect(retained.keep(status('c'), 70)).toBe(true)
  })
})

describe('back-off', () => {
  const range = { firstMs: 1_000, longestMs: 30_000 }
  it('doubles its range up to the longest and spreads over all of it', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 1_000].map((failures) => backoffMs(failures, range, () => 0.999_999))).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ])
    expect(backoffMs(5, range, () => 0)).toBe(0)
    expect(backoffMs(5, range, () => 0.5)).toBe(15_000)
  })
})
