// When the watchdog is not fed any more: the work stands still though the process lives.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLiveness } from '../../agent/liveness.ts'
import { createRig } from './buffer-rig.ts'
import { JPEG, readModels, startCore } from './core-rig.ts'
import { createFakeClock } from './fake-clock.ts'

describe('the work', () => {
  const open = (runLimitMs = 10_000) => {
    const state = { load: 0, ended: 0, slow: 0, ready: true }
    const { clock, elapse } = createFakeClock()
    const liveness = createLiveness({
      work: { load: () => state.load, ended: () => state.ended },
      host: { stats: () => ({ ready: state.ready }) as never },
      slow: () => state.slow,
      runLimitMs,
      elapsed: clock.elapsed,
    })
    const passed = (seconds: number): string | undefined => {
      elapse(seconds * 1000)
      return liveness.stuck()
    }
    return { state, passed }
  }

  it('is alive without frames, and while runs end', () => {
    const { state, passed } = open()
    expect(passed(100_000)).toBeUndefined()
    state.load = 5
    for (let i = 0; i < 10; i += 1) {
      state.ended += 1
      expect(passed(170)).toBeUndefined()
    }
  })

  it('is stuck when frames are in hand and no run ends for three minutes', () => {
    const { state, passed } = open()
    state.load = 3
    expect(passed(0)).toBeUndefined()
    expect(passed(179)).toBeUndefined()
    expect(passed(2)).toBe('3 frames in hand, and no run has ended for 181 s')
    state.ended += 1
    expect(passed(10)).toBeUndefined()
  })

  it('may take as long as five runs of a slow model', () => {
    const { state, passed } = open(120_000)
    state.load = 1
    expect(passed(590)).toBeUndefined()
    expect(passed(20)).toContain('1 frames in hand')
  })

  it.each([
    ['the board is too hot to work', { slow: Number.POSITIVE_INFINITY }, { slow: 0 }],
    ['its host cannot start', { ready: false }, { ready: true }],
  ])('is not stuck while %s', (_, before, after) => {
    const { state, passed } = open()
    Object.assign(state, { load: 3, ...before })
    expect(passed(1_000)).toBeUndefined()
    Object.assign(state, after)
    expect(passed(100)).toBeUndefined()
    expect(passed(100)).toContain('3 frames in hand')
  })
})

describe('a camera in front of a host that hangs', () => {
  let rig: ReturnType<typeof createRig>
  beforeEach(async () => {
    rig = createRig()
    await readModels()
  })
  afterEach(() => rig.remove())

  it('is stuck in due time, though each new frame drops the one before', async () => {
    const { core, clock, receive, advance } = startCore(rig)
    const liveness = createLiveness({
      work: core.work,
      host: { stats: () => ({ ready: true }) as never },
      slow: () => 0,
      runLimitMs: 10_000,
      elapsed: clock.elapsed,
    })
    let stuckAfterS: number | undefined
    for (let second = 1; second <= 600 && stuckAfterS === undefined; second += 1) {
      receive(undefined, JPEG)
      await advance(1_000)
      if (second % 20 === 0 && liveness.stuck() !== undefined) stuckAfterS = second
    }
    expect(core.tally.counts()).toMatchObject({ answered: 0, reasons: { 'newer-frame': expect.any(Number) } })
    expect(stuckAfterS).toBe(180)
  })

  it('is alive again with the first run that ends', async () => {
    const { core, clock, receive, advance, turn } = startCore(rig)
    const liveness = createLiveness({
      work: core.work,
      host: { stats: () => ({ ready: true }) as never },
      slow: () => 0,
      runLimitMs: 10_000,
      elapsed: clock.elapsed,
    })
    receive(undefined, JPEG)
    await advance(300_000)
    expect(liveness.stuck()).toMatch(/^1 frames in hand/)
    receive(undefined, JPEG)
    await turn()
    expect(liveness.stuck()).toBeUndefined()
  })
})
