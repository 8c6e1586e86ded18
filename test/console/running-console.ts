// A real console in this process (broker, chain, database, HTTP) on free ports and a folder of its own, and a board
// that is played by the test over real MQTT.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { connectLink, type Link } from '../../broker/link.ts'
import { deviceIdOf, rawPublicKey } from '../../broker/protocol/credentials.ts'
import { parseFrame } from '../../broker/protocol/envelope.ts'
import type { InfoMessage, ResultMessage, Runtime } from '../../broker/protocol/messages.ts'
import { FIRST_PREV, signBatch } from '../../broker/protocol/receipts.ts'
import { filters, formatTopic, parseTopic, type Topic } from '../../broker/protocol/topics.ts'
import { createClosers } from '../../console/closers.ts'
import { type Flags, readConfig } from '../../console/config.ts'
import { sleepFor } from '../../console/loops.ts'
import type { BoardCredential } from '../../console/routes/shapes.ts'
import { type RunningConsole, startConsole } from '../../console/start/console.ts'
import { DEMO_BUDGET, type Seeded, seed } from '../../console/up/seed.ts'

export const PACKAGE_ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
export const silent = pino({ level: 'silent' })
const ANY_PORTS = { http: '0', mqtt: '0', chain: '0', holdS: '0', settleEveryS: '3600' }

export interface TestConsole extends RunningConsole {
  readonly seeded: Seeded
  readonly data: string
  /** With the console's token unless another is given; an empty one sends none. */
  call(path: string, init?: RequestInit, token?: string): Promise<Response>
  close(): Promise<void>
}

export async function startTestConsole(flags: Flags = {}, now: () => number = Date.now): Promise<TestConsole> {
  const data = await mkdtemp(join(tmpdir(), 'bramble-console-'))
  const env = { BRAMBLE_SLOT_MS: process.env['BRAMBLE_SLOT_MS'] }
  const read = readConfig(env, { ...ANY_PORTS, data, ...flags }, 'up', PACKAGE_ROOT)
  if (!read.ok) throw new Error(read.faults.join('\n'))
  const stack = createClosers()
  const stop = new AbortController()
  const running = await startConsole(
    { config: read.config, supply: DEMO_BUDGET },
    {
      log: silent,
      now,
      sleep: sleepFor,
      randomBytes,
      packageRoot: PACKAGE_ROOT,
      version: '0.0.0-test',
      stack,
      stopping: stop.signal,
    },
  )
  const { store, trades, money, keysFolder, url, keys } = running
  const { requesters } = trades
  const { registration } = money.funding
  const seeded = await seed({ store, requesters, registration, keysFolder, now: Date.now })
  return {
    ...running,
    seeded,
    data,
    call(path, init = {}, token = keys.token) {
      const headers = new Headers(init.headers)
      if (token !== '') headers.set('authorization', `Bearer ${token}`)
      return fetch(new URL(path, url), { ...init, headers })
    },
    async close() {
      stop.abort()
      await stack.close()
      await rm(data, { recursive: true })
    },
  }
}

/** Polls a condition that has no event to wait for. */
export async function until<T>(read: () => Promise<T | undefined> | T | undefined, what: string): Promise<T> {
  const end = Date.now() + 40_000
  for (;;) {
    const value = await read()
    if (value !== undefined && value !== false) return value
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await sleepFor(20, new AbortController().signal)
  }
}

export interface BoardKey {
  readonly id: string
  readonly publicKey: string
  prove(text: string): string
}

export const RUNTIME: Runtime = { ort: '1.30.0', provider: 'cpu', cpu: 'x64', decoder: 'none', flags: [] }
export const OUTPUT_DIGEST = 'ab'.repeat(32)

export interface TestBoard {
  readonly id: string
  readonly name: string
  readonly link: Link
  readonly credential: string
  /** Tasks heard, oldest first. */
  readonly tasks: { readonly id: string; readonly model: string; readonly input: string }[]
  say(topic: Topic, payload: unknown, retain?: boolean): Promise<void>
  /** Answers a heard task: a cat. */
  answer(task: TestBoard['tasks'][number]): Promise<void>
  /** One signed batch with these tasks, `seq` counting up; resolves when the console has acknowledged it. */
  receipt(tasks: TestBoard['tasks'][number][]): Promise<void>
}

/** Enrols over HTTP, connects with the credential, and says what it is. */
export async function startTestBoard(console: TestConsole): Promise<TestBoard> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = rawPublicKey(publicKey)
  const id = deviceIdOf(raw)
  const { token } = await console.enrolment.mint({ owner: 'demo', label: 'test', uses: 1, expiresInS: 60 })
  const proof = sign(null, Buffer.from(`bramble-enroll:${token}`), privateKey).toString('base64url')
  const enrolled = await console.call('/enroll', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, publicKey: Buffer.from(raw).toString('base64url'), proof }),
  })
  const credential = (await enrolled.json()) as BoardCredential
  const link = connectLink({
    url: credential.mqtt.url,
    clientId: id,
    username: id,
    password: credential.credential,
    subscriptions: filters.deviceInput(id),
    log: silent,
  })
  const tasks: TestBoard['tasks'] = []
  const acked: number[] = []
  link.onMessage((text, payload) => {
    const topic = parseTopic(text)
    if (topic?.kind === 'ack') acked.push((JSON.parse(payload.toString()) as { upTo: number }).upTo)
    if (topic?.kind !== 'device-in' || topic.task === undefined) return
    const parsed = parseFrame(payload)
    if (!parsed.ok) throw new Error(parsed.message)
    const input = createHash('sha256').update(parsed.frame.data).digest('hex')
    tasks.push({ id: topic.task, model: topic.model, input })
  })
  await until(() => link.connected || undefined, 'the board to connect')
  const say = (topic: Topic, payload: unknown, retain = false): Promise<void> =>
    link.publish(formatTopic(topic), typeof payload === 'string' ? payload : JSON.stringify(payload), {
      qos: 1,
      retain,
    })

  const models = console.catalog.list().map(({ manifest, sha256 }) => ({
    id: manifest.id,
    version: manifest.version,
    digest: sha256,
    task: manifest.task,
  }))
  const info: InfoMessage = {
    device: id,
    name: credential.name,
    boot: 'boot-1',
    at: new Date().toISOString(),
    version: '0.0.0-test',
    board: { model: 'test', arch: 'x64', cpus: 1, memMiB: 512 },
    runtime: RUNTIME,
    models,
    limits: { payloadBytes: 1_048_576, queuedFrames: 64 },
  }
  await say({ kind: 'info', device: id }, info, true)
  await say({ kind: 'status', device: id }, 'online', true)
  await until(
    () => console.trades.devices.get(id)?.clocks.mqtt?.state === 'online' || undefined,
    'the board to be seen',
  )

  let seq = 0
  let prev = FIRST_PREV
  return {
    id,
    name: credential.name,
    link,
    credential: credential.credential,
    tasks,
    say,
    answer(task) {
      const answer: ResultMessage = {
        id: task.id,
        model: `${task.model}@1.0.0`,
        device: id,
        at: new Date().toISOString(),
        ms: { queue: 1, decode: 2, infer: 3 },
        digest: OUTPUT_DIGEST,
        result: { kind: 'classification', labels: [{ label: 'cat', index: 1, score: 0.9 }] },
      }
      return say({ kind: 'device-out', device: id, model: task.model, task: task.id }, answer)
    },
    async receipt(done) {
      seq += 1
      const wanted = seq
      const items = done.map((task) => ({
        task: task.id,
        model: console.catalog.resolve(task.model)?.sha256 ?? '',
        input: task.input,
        output: OUTPUT_DIGEST,
        at: Date.now(),
        ms: 3,
      }))
      const jws = signBatch(
        { device: id, boot: 'boot-1', chain: 'chain-1', seq, prev, runtime: RUNTIME, items },
        privateKey,
      )
      prev = createHash('sha256').update(jws).digest('hex')
      await say({ kind: 'receipts', device: id }, jws)
      await until(() => acked.find((upTo) => upTo >= wanted), 'the acknowledgement')
    },
  }
}
