// A board whose CPU ONNX Runtime does not know: its inference process really dies by SIGILL. The agent stays, says so, refuses
// frames with the reason, and serves once the cause is gone.
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../agent/config.ts'
import { openHost } from '../../agent/hosting.ts'
import { writeCredential } from '../../agent/membership/credential.ts'
import { openIdentity } from '../../agent/membership/identity.ts'
import { startAgent } from '../../agent/run.ts'
import type { EmbeddedBroker } from '../../broker/embedded.ts'
import { HeartbeatMessage, InfoMessage, ResultMessage } from '../../broker/protocol/messages.ts'
import { formatTopic } from '../../broker/protocol/topics.ts'
import { openEar, openTestBroker } from './board.ts'
import { createPublisher, startConsole, TOKEN } from './packages-rig.ts'
import { installPackage, versionFiles } from './software-rig.ts'

const ILLEGAL = "process.kill(process.pid, 'SIGILL')\n"
const REAL = `import ${JSON.stringify(new URL('../../models/runtime/host-process.ts', import.meta.url).href)}\n`
const RARELY_MS = 600_000

let folder: string
let broker: EmbeddedBroker
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'no-runtime-'))
  broker = await openTestBroker()
})
afterAll(async () => {
  await broker.close()
  rmSync(folder, { recursive: true })
})

/** As enrolment leaves it, at a console without opinion. */
async function enrolled(data: string): Promise<void> {
  const { device } = openIdentity(data)
  const desk = await startConsole()
  onTestFinished(() => desk.close())
  const mqtt = { url: broker.url, root: 'bramble/1' }
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
  const obtainedAt = new Date().toISOString()
  writeCredential(data, {
    device,
    name: 'calm-green-fox',
    credential: TOKEN,
    expiresAt,
    obtainedAt,
    mqtt,
    console: desk.url,
  })
}

/** A board whose inference process dies by SIGILL until `program` is another one. `cured` ends its long pause. */
async function startSick(
  name: string,
  atConsole = false,
  more: { readonly env?: NodeJS.ProcessEnv; readonly trusts?: string } = {},
) {
  const data = join(folder, name)
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const program = join(data, 'program.mjs')
  writeFileSync(program, ILLEGAL)
  writeFileSync(join(data, 'password'), 'the credential', { mode: 0o600 })
  const { ear, console } = await openEar(broker.url)
  const plain = { device: 'cam1', 'mqtt-url': broker.url, 'password-file': join(data, 'password') }
  if (atConsole) await enrolled(data)
  const trust = more.trusts !== undefined && { 'trust-software': more.trusts }
  const config = readConfig({}, { data, serve: 'fashion', ...(atConsole ? {} : plain), ...trust })
  const cured = Promise.withResolvers<void>()
  const pauses: number[] = []
  const sleep = async (ms: number, signal: AbortSignal): Promise<void> => {
    pauses.push(ms)
    if (ms === RARELY_MS) await Promise.race([cured.promise, once(signal, 'abort')])
  }
  const agent = await startAgent(config, pino({ level: 'silent' }), '0.0.0', {
    env: more.env ?? {},
    pid: process.pid,
    logLines: () => [],
    openHost: (given, log) => openHost(given, log, { program, sleep }),
  })
  return { agent, program, cured, pauses, ear, console }
}

test('a board that cannot run ONNX Runtime stays up, says why, and serves once it can', async () => {
  const { agent, program, cured, pauses, ear, console } = await startSick('cured')
  const sick = await ear.find(({ topic, payload }) =>
    topic.kind === 'info' ? InfoMessage.parse(JSON.parse(payload.toString())) : undefined,
  )
  expect(sick).toMatchObject({ models: [], notices: [expect.stringMatching(/^this CPU is not supported.*SIGILL/)] })
  expect(pauses.filter((ms) => ms === RARELY_MS)).toHaveLength(1)
  await ear.find(({ topic, payload }) => {
    const beat = topic.kind === 'heartbeat' && HeartbeatMessage.parse(JSON.parse(payload.toString()))
    return beat && beat.idle === 'no-model' ? true : undefined
  })

  await console.publish(formatTopic({ kind: 'device-in', device: 'cam1', model: 'fashion', task: 't1' }), 'x', {
    qos: 1,
  })
  const refused = await ear.find(({ topic, payload }) =>
    topic.kind === 'device-out' && topic.task === 't1'
      ? ResultMessage.parse(JSON.parse(payload.toString()))
      : undefined,
  )
  expect(refused).toMatchObject({ error: { message: expect.stringContaining('this CPU is not supported') } })

  writeFileSync(program, REAL)
  cured.resolve()
  const well = await ear.find(({ topic, payload }) => {
    const info = topic.kind === 'info' && InfoMessage.parse(JSON.parse(payload.toString()))
    return info && info.models.length > 0 ? info : undefined
  })
  expect(well).toMatchObject({ models: [{ id: 'fashion' }], notices: [] })
  await agent.close()
  await console.close()
})

test('a board of a console serves its own folder, too, once it can run ONNX Runtime', async () => {
  const { agent, program, cured, ear, console } = await startSick('enrolled', true)
  // What the boards of other tests said is retained.
  const said = (notices: number) =>
    ear.find(({ topic, payload }) => {
      const info = topic.kind === 'info' && topic.device !== 'cam1' && InfoMessage.parse(JSON.parse(String(payload)))
      return info && info.notices?.length === notices ? info : undefined
    })
  await said(1)
  writeFileSync(program, REAL)
  cured.resolve()
  const well = await said(0)
  expect(well).toMatchObject({ models: [{ id: 'fashion' }], packages: [] })
  await agent.close()
  await console.close()
})

test('a board that cannot because its card is damaged makes way for what ran before', async () => {
  const software = join(folder, 'damaged/software')
  const files = versionFiles('0.2.0')
  const acme = createPublisher()
  installPackage(join(software, 'a'), files)
  writeFileSync(join(software, 'a/.release'), acme.signSoftware('0.2.0', files))
  truncateSync(join(software, 'a/node_modules/@img/colour/again.js'), 9)
  const env = { BRAMBLE_SOFTWARE: software, BRAMBLE_PACKAGED: folder, BRAMBLE_SLOT: 'a' }
  const { agent, console } = await startSick('damaged', false, { env, trusts: `${acme.id}:${acme.key}` })
  await agent.replaced
  expect(readFileSync(join(software, 'starts'), 'utf8')).toBe('a 5\n')
  await agent.close()
  await console.close()
})

test('it can be stopped before it ever served, and says goodbye', async () => {
  const { agent, ear, console } = await startSick('stopped')
  await ear.find(({ topic }) => (topic.kind === 'info' ? topic : undefined))
  await agent.close()
  await agent.running
  const last = await ear.find(({ topic, payload }) =>
    topic.kind === 'status' && payload.toString() === 'offline' ? payload.toString() : undefined,
  )
  expect(last).toBe('offline')
  await console.close()
})
