// A real agent process on a real embedded broker, with a small HTTP server in the console's place for enrolment, and a
// client with the console's rights that hears everything the board says.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { connectLink, type Link } from '../../broker/link.ts'
import { consoleGrants, deviceGrants, deviceIdOf, publicKeyFromRaw } from '../../broker/protocol/credentials.ts'
import { HeartbeatMessage, InfoMessage, ResultMessage } from '../../broker/protocol/messages.ts'
import { type Desired, PACKAGE_PATHS } from '../../broker/protocol/packages.ts'
import { type ReceiptBatch, verifyBatch } from '../../broker/protocol/receipts.ts'
import { filters, formatTopic, parseTopic, type Topic } from '../../broker/protocol/topics.ts'
import { createDesk } from '../faults/desk.ts'
import { isFinal } from '../faults/judge.ts'

const MAIN = fileURLToPath(new URL('../../agent/main.ts', import.meta.url))
const PASSWORD = 'the credential'
const silent = pino({ level: 'silent' })

export interface Said {
  readonly topic: Topic
  readonly payload: Buffer
}

export interface Heard extends Said {
  /** When, in milliseconds of `performance.now()`. */
  readonly heardAt: number
}

/** Everything heard, and promises for what will be. */
function createEar() {
  const heard: Heard[] = []
  let listeners: ((said: Said) => void)[] = []
  return {
    heard,
    hear(said: Said): void {
      heard.push({ ...said, heardAt: performance.now() })
      for (const listener of [...listeners]) listener(said)
    },
    /** The first that matches, said already or later. */
    find<T>(pick: (said: Said) => T | undefined, from = 0): Promise<T> {
      return new Promise((resolve) => {
        const look = (said: Said): boolean => {
          const picked = pick(said)
          if (picked !== undefined) resolve(picked)
          return picked !== undefined
        }
        if (heard.slice(from).some(look)) return
        const listener = (said: Said): void => {
          if (look(said)) listeners = listeners.filter((other) => other !== listener)
        }
        listeners.push(listener)
      })
    },
  }
}

/** A process of the agent's command line, with its output line by line. */
export function runAgent(args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  const log = createEar()
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    log.hear({ topic: { kind: 'status', device: 'log' }, payload: Buffer.from(line) })
  })
  const exited: Promise<number | null> = once(child, 'close').then(([code]) => code)
  return {
    child,
    exited,
    lines,
    errors: () => errors,
    /** Resolves with the first log line that says so; rejects when the process ends before. */
    logged: (text: string, from = 0): Promise<string> =>
      Promise.race([
        log.find(({ payload }) => (payload.includes(text) ? payload.toString() : undefined), from),
        exited.then((code) => Promise.reject(new Error(`ended with ${code}: ${errors}${lines.join('\n')}`))),
      ]),
  }
}
export type RunningAgent = ReturnType<typeof runAgent>

export async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'close')
}

/** A console that has no opinion on models, and says what time it is. */
const noOpinion: RequestListener = ({ url = '' }, response) => {
  if (!url.startsWith(PACKAGE_PATHS.desired)) return void response.writeHead(404).end()
  response.end(JSON.stringify({ revision: 1, now: Date.now(), publishers: [] } satisfies Desired))
}

/** The console's enrolment page, as much of it as an agent sees; `others` answers everything else. */
async function startEnrolment(broker: () => EmbeddedBroker, others: RequestListener) {
  let publicKey = Buffer.alloc(0)
  const server = createServer(async (request, response) => {
    if (request.url !== '/enroll') return others(request, response)
    let text = ''
    for await (const chunk of request) text += chunk
    publicKey = Buffer.from(JSON.parse(text).publicKey, 'base64url')
    response.end(
      JSON.stringify({
        device: deviceIdOf(publicKey),
        name: 'calm-green-fox',
        credential: PASSWORD,
        expiresAt: new Date(Date.now() + 30 * 86_400_000).toISOString(),
        mqtt: { url: broker().url, root: 'bramble/1' },
      }),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    publicKey: () => publicKey,
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}

export const openTestBroker = (): Promise<EmbeddedBroker> =>
  startBroker({
    host: '127.0.0.1',
    port: 0,
    log: silent,
    now: Date.now,
    async authenticate(id, password) {
      if (id === 'console') return { role: 'console', id, grants: consoleGrants() }
      return password.toString() === PASSWORD ? { role: 'device', id, grants: deviceGrants(id) } : undefined
    },
  })

async function openConsole(url: string, hear: (said: Said) => void): Promise<Link> {
  const link = connectLink({
    url,
    clientId: 'console',
    username: 'console',
    password: 'x',
    subscriptions: filters.console(),
    log: silent,
  })
  link.onMessage((text, payload) => {
    const topic = parseTopic(text)
    if (topic) hear({ topic, payload })
  })
  await new Promise<void>((resolve) => link.onConnect(resolve))
  return link
}

/** A client with the console's rights, and what it heard. */
export async function openEar(url: string) {
  const ear = createEar()
  return { ear, console: await openConsole(url, ear.hear) }
}

/** A board says so once it has subscribed. */
export const isOnline = ({ topic, payload }: Said): true | undefined =>
  (topic.kind === 'status' && payload.toString() === 'online') || undefined

/** An enrolled board; `acking` says whether its receipts are acknowledged. */
export async function openBoard(flags: readonly string[] = [], others: RequestListener = noOpinion) {
  const folder = mkdtempSync(join(tmpdir(), 'board-'))
  const broker = await openTestBroker()
  const enrolment = await startEnrolment(() => broker, others)
  const ear = createEar()
  const answered = new Set<string>()
  const desk = createDesk(answered)
  const console = await openConsole(broker.url, (said) => {
    ear.hear(said)
    if (said.topic.kind === 'device-out' && said.topic.task !== undefined && isFinal(said.payload.toString()))
      answered.add(said.topic.task)
    if (said.topic.kind === 'receipts' && acking) ack(said.payload)
  })
  const enrolled = runAgent([
    'enroll',
    '--console',
    enrolment.url,
    '--token',
    'a-token-of-some-length',
    '--data',
    folder,
  ])
  if ((await enrolled.exited) !== 0) throw new Error(enrolled.errors())
  const device = deviceIdOf(enrolment.publicKey())
  let acking = true
  let agent = runAgent(['run', '--data', folder, ...flags])

  const batchOf = (payload: Buffer): ReceiptBatch => {
    const verified = verifyBatch(payload.toString(), device, publicKeyFromRaw(enrolment.publicKey()))
    if (!verified.ok) throw new Error(verified.reason)
    return verified.batch
  }
  const ack = (payload: Buffer): void => {
    const taken = desk.take(batchOf(payload))
    if (taken) void console.publish(formatTopic({ kind: 'ack', device }), JSON.stringify(taken), { qos: 1 })
  }
  const results = (model: string, task?: string) => (said: Said) => {
    const { topic } = said
    const fits = topic.kind === 'device-out' && topic.model === model && topic.task === task
    return fits ? ResultMessage.parse(JSON.parse(said.payload.toString())) : undefined
  }

  /** Its models may be loaded before its broker hands it frames, and the other way round. */
  const working = async (from: number): Promise<void> => {
    await Promise.all([agent.logged('"serving"'), ear.find(isOnline, from)])
  }

  return {
    folder,
    broker,
    device,
    ear,
    console,
    agent: () => agent,
    acking(on: boolean): void {
      acking = on
    },
    batches: (): ReceiptBatch[] =>
      ear.heard.filter(({ topic }) => topic.kind === 'receipts').map(({ payload }) => batchOf(payload)),
    serving: () => working(0),
    async restart(): Promise<void> {
      const from = ear.heard.length
      agent = runAgent(['run', '--data', folder, ...flags])
      await working(from)
    },
    send: (model: string, task: string | undefined, payload: string | Uint8Array): Promise<void> =>
      console.publish(formatTopic({ kind: 'device-in', device, model, ...(task !== undefined && { task }) }), payload, {
        qos: task === undefined ? 0 : 1,
      }),
    answer: (model: string, task?: string, from = 0) => ear.find(results(model, task), from),
    answers: (model: string, task?: string) => ear.heard.map(results(model, task)).filter((one) => one !== undefined),
    heartbeat: (fits: (beat: HeartbeatMessage) => boolean, from = 0) =>
      ear.find(({ topic, payload }) => {
        const beat = topic.kind === 'heartbeat' ? HeartbeatMessage.parse(JSON.parse(payload.toString())) : undefined
        return beat && fits(beat) ? { beat, bytes: payload.byteLength } : undefined
      }, from),
    info: () =>
      ear.find(({ topic, payload }) =>
        topic.kind === 'info' ? InfoMessage.parse(JSON.parse(payload.toString())) : undefined,
      ),
    status: (wanted: 'online' | 'offline', from = 0) =>
      ear.find(
        ({ topic, payload }) => (topic.kind === 'status' && payload.toString() === wanted ? wanted : undefined),
        from,
      ),
    async close(): Promise<void> {
      await killed(agent.child)
      await console.close()
      await enrolment.close()
      await broker.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
export type Board = Awaited<ReturnType<typeof openBoard>>
