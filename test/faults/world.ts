// A board, its requester and its console in one process on one clock: the agent's real core over a real buffer, a host that
// answers after a set time, and a network that can fail in each of its ways. What was heard is kept for the judge.
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { type Clock, createSteady } from '../../agent/clock.ts'
import { type Core, createCore } from '../../agent/core.ts'
import { type Buffer as Outbox, openBuffer } from '../../agent/outbox/buffer.ts'
import type { SyncFile } from '../../agent/outbox/log-file.ts'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import { type ReceiptBatch, verifyBatch } from '../../broker/protocol/receipts.ts'
import { formatTopic, parseTopic } from '../../broker/protocol/topics.ts'
import { type Catalog, readCatalog } from '../../models/catalog.ts'
import type { RunOutcome } from '../../models/runtime/host.ts'
import { DEVICE, RUNTIME, syncAtOnce } from '../agent/buffer-rig.ts'
import { createFakeClock } from '../agent/fake-clock.ts'
import { type Ack, createDesk } from './desk.ts'
import { isFinal, judge } from './judge.ts'
import { createKeys } from './keys.ts'

/**
 * `on`: everything arrives. `off`: nothing does, and the board knows. `half-open`: nothing does, and nobody knows. `mute`:
 * what the board says does not leave it, what is said to it arrives. `deaf`: what it says arrives, no PUBACK and no ack does.
 * `unheard`: the broker takes everything, and nobody else is there.
 */
export type Network = 'on' | 'off' | 'half-open' | 'mute' | 'deaf' | 'unheard'

const MODEL = 'mobilenet-v1'
const RUN_MS = 20
/** The dispatcher's lease, in the envelope as the deadline: a task without an answer is sent again. */
const LEASE_MS = 5_000
const ACK_MS = 5

let catalog: Catalog | undefined

export const freshMemoryFolder = (): string =>
  // Real files without a disk's waiting times: the tests commit tens of thousands of times.
  mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'faults-'))

/** What was asked and heard up to some moment. */
export interface Past {
  readonly asked: readonly string[]
  readonly answers: readonly { task: string; payload: string }[]
  readonly batches: readonly string[]
  readonly taken: readonly Ack[]
}

interface Options {
  readonly folder?: string
  /** The board is a second one, on the folder that a first one left. */
  readonly past?: Past
  /** Before and after each publish. */
  readonly onPoint?: (name: string) => void
  /** Between two sendings of a task. */
  readonly leaseMs?: number
  /** The disk: done at once, unless this says when. */
  readonly syncFile?: SyncFile
}

export async function createWorld(options: Options = {}) {
  catalog ??= await readCatalog(new URL('../../models', import.meta.url).pathname)
  const folder = options.folder ?? freshMemoryFolder()
  const { privateKey, publicKey } = createKeys(folder)
  const time = createFakeClock()
  const { clock, advance } = time
  const { past, onPoint = () => undefined, leaseMs = LEASE_MS, syncFile = syncAtOnce } = options
  const asked = new Set<string>(past?.asked)
  const answers = [...(past?.answers ?? [])]
  const frames = new Map<string, Uint8Array>()
  const batches = [...(past?.batches ?? [])]
  const answered = new Set(answers.filter(({ payload }) => isFinal(payload)).map(({ task }) => task))
  const limbo: ((error: Error) => void)[] = []
  const refused: Record<string, number> = {}
  let live = 0
  let said = 0
  let network: Network = 'on'
  /** How far the board's clock is from everybody else's. */
  let skewMs = 0
  let life: { core: Core; buffer: Outbox; end: () => void } | undefined
  let lives = 0

  const desk = createDesk(answered, past?.taken)
  const verify = (jws: string): ReceiptBatch => {
    const verified = verifyBatch(jws, DEVICE, publicKey)
    if (!verified.ok) throw new Error(verified.reason)
    return verified.batch
  }

  /** What the console and the requesters hear. */
  function hear(text: string, payload: string): void {
    const topic = parseTopic(text)
    if (topic?.kind === 'device-out' && topic.task !== undefined) {
      answers.push({ task: topic.task, payload })
      if (isFinal(payload)) answered.add(topic.task)
      else refused[JSON.parse(payload).error.code] = (refused[JSON.parse(payload).error.code] ?? 0) + 1
    }
    if (topic?.kind === 'device-out' && topic.task === undefined) live += 1
    if (topic?.kind === 'receipts') {
      batches.push(payload)
      clock.after(ACK_MS, () => acknowledge(payload))
    }
  }

  function acknowledge(jws: string): void {
    const ack = desk.take(verify(jws))
    if (ack && network === 'on') say({ kind: 'ack', device: DEVICE }, Buffer.from(JSON.stringify(ack)))
  }

  const say = (topic: Parameters<typeof formatTopic>[0], payload: Uint8Array): void =>
    life?.core.intake.receive(formatTopic(topic), payload, false)

  async function publish(topic: string, payload: string): Promise<void> {
    if (network === 'off') throw new Error('not connected')
    onPoint(`before publishing ${topic}`)
    if (network === 'on' || network === 'deaf') hear(topic, payload)
    onPoint(`after publishing ${topic}`)
    said += 1
    if (network !== 'on' && network !== 'unheard') await new Promise((_, reject) => limbo.push(reject))
  }

  const run = (_: unknown, { data }: { data: Uint8Array }): Promise<RunOutcome> =>
    new Promise((resolve) =>
      clock.after(RUN_MS, () =>
        resolve({
          ok: true,
          prediction: { kind: 'classification', labels: [] },
          digest: createHash('sha256').update(data).digest('hex'),
          ms: { decode: 1, infer: RUN_MS },
        }),
      ),
    )

  const picture = (id: string): Buffer => Buffer.concat([Buffer.of(0xff, 0xd8, 0xff, 0xe0), Buffer.from(id)])
  const leased = (id: string): Uint8Array =>
    encodeFrame({ id, deadline: clock.now() - skewMs + leaseMs, contentType: 'image/jpeg', data: picture(id) })

  function send(id: string, frame = frames.get(id)): void {
    asked.add(id)
    if (frame) frames.set(id, frame)
    if (network === 'on' || network === 'mute' || network === 'unheard')
      say({ kind: 'device-in', device: DEVICE, model: MODEL, task: id }, frame ?? leased(id))
  }

  const sendLate = (): void => {
    for (const id of asked) if (!answered.has(id)) send(id)
    clock.after(leaseMs, sendLate)
  }

  function start(): void {
    lives += 1
    const boot = `boot-${lives}-${asked.size}`
    let alive = true
    const own: Clock = {
      ...clock,
      after: (ms, then) => clock.after(ms, () => alive && then()),
      soon: (then) => clock.soon(() => alive && then()),
    }
    const buffer = openBuffer({
      file: join(folder, 'buffer.db'),
      device: DEVICE,
      privateKey,
      capBytes: 1 << 28,
      now: createSteady(clock),
      syncFile,
    })
    const origin = buffer.origin(boot, RUNTIME)
    let ids = 0
    const core = createCore({
      device: DEVICE,
      root: 'bramble/1',
      receipts: true,
      limits: { framesPerModel: 64, bytesPerModel: 1 << 20, payloadBytes: 1 << 16 },
      buffer,
      host: { run },
      serving: { find: (id) => catalog?.resolve(id), names: () => [MODEL], fault: () => undefined },
      origin: () => origin,
      publish: (topic, payload) => (alive ? publish(topic, payload) : Promise.reject(new Error('dead'))),
      clock: own,
      skewMs: () => skewMs,
      newId: () => `made-${ids++}`,
      log: pino({ level: 'silent' }),
    })
    life = {
      core,
      buffer,
      end() {
        alive = false
      },
    }
    if (network === 'on' || network === 'unheard') core.outbox.connected()
    core.work.start()
  }

  /** As kill -9 leaves it: nothing more is heard of this life. Its open file is for the caller to get rid of. */
  function abandon(): Outbox | undefined {
    const buffer = life?.buffer
    life?.end()
    life = undefined
    return buffer
  }

  start()
  clock.after(leaseMs, sendLate)
  const living = () => {
    if (!life) throw new Error('no board is running')
    return life
  }
  return {
    folder,
    clock,
    advance,
    setClock(ms: number): void {
      skewMs += ms
      time.set(ms)
    },
    core: () => living().core,
    buffer: () => living().buffer,
    send,
    /** A frame of a stream. */
    stream(): void {
      if (network === 'on' || network === 'mute')
        say({ kind: 'device-in', device: DEVICE, model: MODEL }, picture('live'))
    },
    /** Answers to those that were heard. */
    live: () => live,
    /** All that the board published. */
    said: () => said,
    /** Error answers heard, by code. */
    refused,
    answers,
    batches,
    past: (): Past => ({ asked: [...asked], answers: [...answers], batches: [...batches], taken: desk.taken() }),
    network(next: Network): void {
      const was = network
      network = next
      if (next === 'off') {
        life?.core.outbox.disconnected()
        for (const reject of limbo.splice(0)) reject(new Error('disconnected'))
      }
      if (next === 'on' && was === 'off') life?.core.outbox.connected()
    },
    /** What is under way fails, on a connection that goes on. */
    refuse(): void {
      for (const reject of limbo.splice(0)) reject(new Error('quota exceeded'))
    },
    restart(): void {
      abandon()?.close()
      start()
    },
    /** Until nothing is owed any more and every task is answered, ten minutes at most. */
    async settle(): Promise<void> {
      for (let waited = 0; waited < 600; waited += 1) {
        if (living().buffer.owed() === 0 && [...asked].every((id) => answered.has(id))) return
        await advance(1_000)
      }
    },
    verdict: (): string[] => judge({ accepted: asked, answers, batches, verify }),
    close(): void {
      abandon()?.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
export type World = Awaited<ReturnType<typeof createWorld>>
