// A host whose process is long in coming back, or does not come back at all: every run has an outcome in time.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createHost, type HostOptions } from '../../models/runtime/host.ts'
import { shipped, temporaryFolder } from './zoo.ts'

const DEADLY = new URL('programs/deadly.ts', import.meta.url).pathname
const GOOD = { contentType: 'image/jpeg', data: Buffer.from('good') }
const silent = pino({ level: 'silent' })

/** On a program that can be broken. */
async function breakable(options: Partial<HostOptions> = {}) {
  const program = join(await temporaryFolder(), 'program.ts')
  const write = (text: string): void => writeFileSync(program, text)
  write(`await import(${JSON.stringify(DEADLY)})`)
  const host = createHost({ log: silent, program, budgetMiB: 1_000, ...options })
  onTestFinished(() => host.close())
  const kill = (): void => void process.kill(host.stats().processes[0]?.pid ?? 0, 'SIGKILL')
  return {
    host,
    kill,
    mend: () => write(`await import(${JSON.stringify(DEADLY)})`),
    damage: () => write('process.exit(1)'),
  }
}

test('a process that does not start any more: what comes is answered with the reason, until one starts after all', async () => {
  const pkg = await shipped('fashion')
  const later = Promise.withResolvers<void>()
  const sleep = (ms: number): Promise<void> => (ms === 600_000 ? later.promise : Promise.resolve())
  const { host, kill, damage, mend } = await breakable({ sleep })
  await host.load(pkg)
  damage()
  kill()
  await expect.poll(() => host.runtime().catch(({ code }) => code), { timeout: 20_000 }).toBe('no-start')
  const crashed = { code: 'crashed', message: 'the inference process does not start (exit code 1)' }
  expect(await host.run(pkg, GOOD)).toEqual({ ok: false, error: crashed })
  mend()
  later.resolve()
  await host.ready()
  expect(await host.run(pkg, GOOD)).toMatchObject({ ok: true })
})

test('a run whose deadline passes during the back-off of a process is expired at that moment', async () => {
  const pkg = await shipped('fashion')
  const untilClosed = (_: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
  const { host, kill } = await breakable({ sleep: untilClosed })
  await host.load(pkg)
  // The first restart is immediate, the second one waits.
  for (const count of [1, 2]) {
    await vi.waitUntil(() => host.stats().ready, { timeout: 20_000, interval: 5 })
    kill()
    await vi.waitUntil(() => host.stats().crashes === count, { interval: 1 })
  }
  const from = performance.now()
  const outcome = await host.run(pkg, GOOD, from + 300)
  expect(outcome).toMatchObject({ ok: false, error: { code: 'expired' } })
  expect(performance.now() - from).toBeGreaterThanOrEqual(300)
})

test('a run whose deadline passes while its model is brought back is expired, and the model can go again', async () => {
  const [fashion, vibration] = await Promise.all([shipped('fashion'), shipped('vibration-ae')])
  // Room for one: each makes the other go.
  const { host } = await breakable({ budgetMiB: 0.001 })
  await host.load(fashion)
  await host.load(vibration)
  expect(await host.run(fashion, GOOD, performance.now() + 0.01)).toMatchObject({ error: { code: 'expired' } })
  for (const pkg of [fashion, vibration, fashion]) expect(await host.run(pkg, GOOD)).toMatchObject({ ok: true })
})
