// Inference processes that die, cannot start, and several of them side by side.
import { describe, expect, test, vi } from 'vitest'
import { both, goldenFrame, host, longClip, pidsOf, programs } from './host-rig.ts'
import { shipped } from './zoo.ts'

describe('an inference process that dies', () => {
  test('in the middle of a run: that run is answered, the others are run by the next process', async () => {
    const [silero, fashion] = await Promise.all([shipped('silero-vad'), shipped('fashion')])
    const inference = host()
    await Promise.all([inference.load(silero), inference.load(fashion)])
    const frame = await goldenFrame(fashion)
    const first = inference.run(silero, longClip)
    const behind = Array.from({ length: 6 }, () => inference.run(fashion, frame))
    process.kill(pidsOf(inference)[0]!, 'SIGKILL')
    expect(await first).toEqual({
      ok: false,
      killed: true,
      error: { code: 'crashed', message: 'the inference process ended (SIGKILL)' },
    })
    for (const outcome of await Promise.all(behind)) expect(outcome).toMatchObject({ ok: true })
    expect(inference.stats()).toMatchObject({ crashes: 1, timeouts: 0, restarts: 1 })
  })

  test('again and again is started again with a growing pause', async () => {
    const pauses: number[] = []
    const inference = host({ sleep: async (ms) => void pauses.push(ms) })
    const fashion = await shipped('fashion')
    await inference.load(fashion)
    for (let i = 0; i < 4; i++) {
      await inference.load(fashion)
      process.kill(pidsOf(inference)[0]!, 'SIGKILL')
      // Only a process that is up again can take this order.
      await inference.unload('fashion')
      await inference.load(fashion)
    }
    expect(pauses).toEqual([200, 400, 800])
    expect(await inference.run(fashion, await goldenFrame(fashion))).toMatchObject({ ok: true })
  })
})

describe('several processes', () => {
  test('share the frames, each with all models, and one that dies takes only its own run with it', async () => {
    const [silero, fashion] = await Promise.all([shipped('silero-vad'), shipped('fashion')])
    const inference = host({ processes: 2 })
    await Promise.all([inference.load(silero), inference.load(fashion)])
    await both(inference)
    const [first, second] = pidsOf(inference)
    const frame = await goldenFrame(fashion)
    const slow = inference.run(silero, longClip)
    const behind = Array.from({ length: 8 }, () => inference.run(fashion, frame))
    process.kill(first!, 'SIGKILL')
    expect(await slow).toMatchObject({ ok: false, error: { code: 'crashed' } })
    for (const outcome of await Promise.all(behind))
      expect(outcome).toMatchObject({ ok: true, digest: fashion.manifest.golden[0]!.digest })
    expect(inference.stats()).toMatchObject({ crashes: 1, restarts: 1, ready: true })
    expect(pidsOf(inference)).toContain(second)
  })

  test('take over what waits for one that is long in coming back', async () => {
    const [silero, fashion] = await Promise.all([shipped('silero-vad'), shipped('fashion')])
    const back = Promise.withResolvers<void>()
    const inference = host({ processes: 2, sleep: () => back.promise })
    await Promise.all([inference.load(silero), inference.load(fashion)])
    await both(inference)
    // The first restart is immediate, the second one waits.
    process.kill(pidsOf(inference)[0]!, 'SIGKILL')
    await vi.waitUntil(() => inference.size() === 1, { interval: 1 })
    await both(inference)
    const [first] = pidsOf(inference)
    const frame = await goldenFrame(fashion)
    const slow = inference.run(silero, longClip)
    const behind = Array.from({ length: 12 }, () => inference.run(fashion, frame))
    process.kill(first!, 'SIGKILL')
    expect(await slow).toMatchObject({ ok: false, error: { code: 'crashed' } })
    for (const outcome of await Promise.all(behind)) expect(outcome).toMatchObject({ ok: true })
    expect(await inference.run(fashion, frame)).toMatchObject({ ok: true })
    expect(inference.stats()).toMatchObject({ crashes: 2, ready: true })
    expect(inference.size()).toBe(1)
    back.resolve()
    await both(inference)
  })

  test('begin with one, and a model that comes later is held by all', async () => {
    const [silero, fashion] = await Promise.all([shipped('silero-vad'), shipped('fashion')])
    const inference = host({ processes: 2 })
    await inference.load(silero)
    expect(inference.size()).toBe(1)
    await both(inference)
    await inference.load(fashion)
    const slow = inference.run(silero, longClip)
    const frame = await goldenFrame(fashion)
    let isSlowDone = false
    void slow.then(() => {
      isSlowDone = true
    })
    // The first process is busy for half a second: these can only have been run by the other one.
    for (let i = 0; i < 3; i++) expect(await inference.run(fashion, frame)).toMatchObject({ ok: true })
    expect(isSlowDone).toBe(false)
    expect(await slow).toMatchObject({ ok: true })
  })

  test('go on without one that cannot work, and hire again later', async () => {
    const fashion = await shipped('fashion')
    const again = Promise.withResolvers<void>()
    const pauses: number[] = []
    const inference = host({
      processes: 2,
      sleep: async (ms) => {
        pauses.push(ms)
        if (ms === 600_000) await again.promise
      },
    })
    await inference.load(fashion)
    await both(inference)
    // It is killed whenever it appears, before it is ready.
    const kill = (): void => {
      for (const pid of pidsOf(inference).slice(1)) process.kill(pid, 'SIGKILL')
    }
    await vi.waitUntil(
      () => {
        kill()
        return pauses.includes(600_000)
      },
      { timeout: 10_000, interval: 5 },
    )
    expect(pidsOf(inference)).toHaveLength(1)
    expect(await inference.run(fashion, await goldenFrame(fashion))).toMatchObject({ ok: true })
    expect(inference.stats().crashes).toBeGreaterThanOrEqual(3)
    again.resolve()
    await both(inference)
  })
})

describe('a process that cannot start', () => {
  test('because its CPU is not supported is told so, and tried again only rarely', async () => {
    const pauses: number[] = []
    const held = Promise.withResolvers<void>()
    const program = programs('illegal.mjs')
    const inference = host({
      program,
      sleep: async (ms) => {
        pauses.push(ms)
        if (ms > 60_000) await held.promise
      },
    })
    await expect(inference.runtime()).rejects.toMatchObject({
      code: 'unsupported-cpu',
      message: expect.stringContaining('SIGILL'),
    })
    await expect(inference.load(await shipped('fashion'))).rejects.toMatchObject({ code: 'unsupported-cpu' })
    expect(pauses.at(-1)).toBe(600_000)
    expect(inference.stats().ready).toBe(false)
    held.resolve()
  })
})
