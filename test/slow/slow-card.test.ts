// Cards that take a second to say that they have something, or say that they have not. strace holds the syncs of a real agent up.
import { execFileSync } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import { openReal, type Real } from '../faults/real.ts'
import { CHELSEA } from '../harness/pipeline.ts'
import { need } from './needs.ts'

const MODEL = 'mobilenet-v1'
const CARD_MS = 1_000

const syncs = (what: string): string[] => [
  ...['strace', '-D', '-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync'],
  ...['-e', `inject=fsync,fdatasync:${what}`],
]

function missing(): string | undefined {
  try {
    execFileSync('strace', ['-f', '--seccomp-bpf', '-e', 'trace=none', 'true'], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `strace cannot be used here: ${error instanceof Error ? error.message.split('\n')[0] : error}`
  }
}
const LACK = missing()

let real: Real
beforeEach(async (context) => {
  need(context, LACK)
  real = await openReal()
})
afterEach(() => real?.close())

/** Live pictures for a while, ten a second; how long each answer took. */
async function watch(seconds: number): Promise<number[]> {
  const { board } = real
  const took: number[] = []
  for (let n = 0; n < 10 * seconds; n += 1) {
    const id = `live-${n}`
    const sentAt = performance.now()
    void board.ear
      .find(({ topic, payload }) => {
        const isIt = topic.kind === 'device-out' && topic.task === undefined
        return isIt && JSON.parse(payload.toString()).id === id ? true : undefined
      }, board.ear.heard.length)
      .then(() => took.push(performance.now() - sentAt))
    void board.send(MODEL, undefined, encodeFrame({ id, source: 'camera', contentType: 'image/jpeg', data: CHELSEA }))
    await pause(100)
  }
  return took.sort((a, b) => a - b)
}

it('a card that takes a second for each commit: live pictures stay live meanwhile, nothing is lost or told twice', async () => {
  const agent = await real.relaunch(syncs(`delay_exit=${CARD_MS * 1_000}`))
  await agent.said('"serving"')
  // The log begins.
  await real.traffic(1, 1)
  await real.settle()
  const [took] = await Promise.all([watch(12), real.traffic(12, 5)])
  // While each commit held up everything, 34 of them were answered: a newer one took the place of the others.
  expect(took.length).toBeGreaterThan(90)
  expect(took[took.length >> 1], `${took.map(Math.round)} ms`).toBeLessThan(CARD_MS / 4)
  await real.settle()
  expect(real.verdict()).toEqual([])
})

it('a card that says for a while that it has not got it: nothing is told that it has not, nothing is lost', async () => {
  // Counted by thread: each of those that wait for the card meets it.
  const agent = await real.relaunch(syncs('error=EIO:when=4..8'))
  await agent.said('"serving"')
  await real.traffic(8)
  await agent.said('results cannot be written')
  await agent.said('takes results again')
  await real.traffic(2)
  await real.settle()
  expect(real.verdict()).toEqual([])
  // Ended with a commit that is in memory alone.
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const dying = await real.relaunch(syncs('error=EIO:when=4+'))
    await dying.said('"serving"')
    await real.traffic(3)
    await dying.said('results cannot be written')
    dying.child.kill(signal)
    await dying.exited
    await (await real.relaunch()).said('"serving"')
    await real.settle()
    expect(real.verdict()).toEqual([])
  }
})
