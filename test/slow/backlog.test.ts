// A connection on which nothing gets out of the board any more while everything still comes in, at four fifths of what the board
// can do, for ten minutes. The link notices each time that no PUBACK comes and makes a new connection, which is no better; what
// is sent while there is none is asked again at the end.
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { residentMiB } from '../agent/overload-run.ts'
import { openReal } from '../faults/real.ts'

const MUTE_S = 600
const LOAD = 0.8
const IN_HAND = 4
const PACE_S = 8
/** Of the agent and its inference processes, beyond what they had at full load. */
const GROWTH_MIB = 25

const now = (): number => performance.now()

it('a backlog of minutes costs disk and not memory, and everything in it arrives once', {
  timeout: 1_500_000,
}, async () => {
  const real = await openReal({ again: false })
  onTestFinished(() => real.close())
  const { board, proxy } = real
  const pid = board.agent().child.pid ?? 0

  const heardBefore = board.ear.heard.length
  const startedAt = now()
  let done = 0
  const lane = async (): Promise<void> => {
    for (; now() - startedAt < PACE_S * 1_000; done += 1) await board.answer('mobilenet-v1', real.ask(), heardBefore)
  }
  await Promise.all(Array.from({ length: IN_HAND }, lane))
  const perS = (LOAD * done) / ((now() - startedAt) / 1_000)

  const before = residentMiB(pid)
  const resident: number[] = []
  proxy.mute(true)
  const mutedAt = now()
  for (let n = 0; now() - mutedAt < MUTE_S * 1_000; n += 1) {
    real.ask()
    if (n % 100 === 0) resident.push(residentMiB(pid))
    await pause(Math.max(0, mutedAt + ((n + 1) * 1_000) / perS - now()))
  }
  proxy.mute(false)
  // Every answer, and a batch for each hundred; the board had no connection for a tenth of the time.
  await board.heartbeat(({ outbox }) => outbox > 0.6 * perS * MUTE_S)
  await board.heartbeat(({ outbox }) => outbox === 0, board.ear.heard.length)
  resident.push(residentMiB(pid))
  await real.askAgain(IN_HAND)
  await real.settle(2_000)
  expect(real.verdict()).toEqual([])
  expect(Math.max(...resident)).toBeLessThan(before + GROWTH_MIB)
})
