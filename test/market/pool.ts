// A real store and a real dispatcher with a clock in the hand, and boards that answer when the test says so.
import { generateKeyPairSync, hash, type KeyObject, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { deviceIdOf, rawPublicKey } from '../../broker/protocol/credentials.ts'
import { encodeFrame, parseFrame } from '../../broker/protocol/envelope.ts'
import type { ErrorCode, ResultMessage } from '../../broker/protocol/messages.ts'
import type { ReceiptItem } from '../../broker/protocol/receipts.ts'
import type { Topic } from '../../broker/protocol/topics.ts'
import type { Candidate } from '../../console/market/choice.ts'
import { createDispatcher, type Dispatcher } from '../../console/market/dispatcher.ts'
import { createFrames } from '../../console/market/frames.ts'
import type { MarketLimits } from '../../console/market/limits.ts'
import { createPrices } from '../../console/market/prices.ts'
import type { TaskEvent } from '../../console/market/round.ts'
import { createUlid } from '../../console/market/ulid.ts'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf, post } from '../../console/rewards/ledger.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'

export const silent = pino({ level: 'silent' })
export const JPEG = new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3, 4])
export const MODEL = 'mobilenet-v1'
export const MODEL_DIGEST = hash('sha256', 'the model file', 'hex')
export const PRICE = 100n

export interface Board {
  readonly device: string
  readonly key: KeyObject
  readonly publicKey: KeyObject
}

export interface Message {
  readonly topic: Topic
  readonly payload: Uint8Array | string
}

/** A device row with a real key, whose owner is made when absent. */
export async function enrol(store: Store, owner = 'owner-a'): Promise<Board> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const device = deviceIdOf(rawPublicKey(publicKey))
  await store.db
    .insertInto('owners')
    .values({ id: owner, name: owner, created_at: 0 })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  await store.db
    .insertInto('devices')
    .values({
      id: device,
      name: `name of ${device}`,
      owner_id: owner,
      public_key: Buffer.from(rawPublicKey(publicKey)).toString('base64url'),
      enrolled_at: 0,
    })
    .execute()
  return { device, key: privateKey, publicKey }
}

export async function addRequester(store: Store, id: string, budget = 0n): Promise<void> {
  await store.db
    .insertInto('requesters')
    .values({ id, name: id, key_hash: `hash of ${id}`, owner_id: null, created_at: 0 })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  if (budget > 0n)
    await store.db.transaction().execute((trx) =>
      post(trx, [
        {
          kind: 'deposit',
          ref: `deposit-${id}`,
          from: accounts.outside,
          to: accounts.budget(id),
          amount: budget,
          at: 0,
        },
      ]),
    )
}

export const digestOf = (text: string): string => hash('sha256', text, 'hex')

/** What an honest board answers to a task. */
export const success = (device: string, task: string, now: number, model = MODEL): ResultMessage => ({
  id: task,
  model: `${model}@1.0.0`,
  device,
  at: new Date(now).toISOString(),
  ms: { queue: 1, decode: 2, infer: 3 },
  digest: digestOf(`output of ${task}`),
  result: { kind: 'classification', labels: [{ label: 'cat', index: 1, score: 0.9 }] },
})

export const failure = (device: string, task: string, now: number, code: ErrorCode): ResultMessage => ({
  id: task,
  model: MODEL,
  device,
  at: new Date(now).toISOString(),
  ms: { queue: 0, decode: 0, infer: 0 },
  error: { code, message: `the board says ${code}` },
})

export interface Pool {
  readonly store: Store
  readonly dispatcher: Dispatcher
  readonly sent: Message[]
  readonly events: TaskEvent[]
  readonly boards: Candidate[]
  readonly clock: { now: number }
  /** False: messages are recorded but never handed over. */
  readonly link: { up: boolean }
  /** Task ids leased to a board so far, in order. */
  leasedTo(device: string): string[]
  /** Answers for a requester's id, parsed. */
  answersTo(requestId: string): ResultMessage[]
  accepts(requestId: string): number
  offer(
    requestId: string,
    more?: { requester?: string; deadline?: number; payload?: Uint8Array; model?: string },
  ): ReturnType<Dispatcher['offer']>
  balance(account: Parameters<typeof balanceOf>[1]): Promise<bigint>
  settled(): Promise<void>
}

export const candidate = (device: string, more: Partial<Candidate> = {}): Candidate => ({
  device,
  models: [MODEL],
  queue: 0,
  ...more,
})

export async function startPool(
  store: Store,
  clock = { now: 1_000_000 },
  limits: Partial<MarketLimits> = {},
): Promise<Pool> {
  const sent: Message[] = []
  const events: TaskEvent[] = []
  const boards: Candidate[] = []
  const link = { up: true }
  const prices = await createPrices(store.db)
  await prices.seed([{ model: MODEL, units: PRICE, publisher: 'publisher-p' }])
  const dispatcher = await createDispatcher({
    store,
    now: () => clock.now,
    newId: createUlid(() => clock.now, randomBytes),
    send: async (topic, payload) => {
      sent.push({ topic, payload })
      if (!link.up) throw new Error('not connected')
    },
    boards: () => boards,
    prices,
    frames: createFrames(),
    emit: (event) => events.push(event),
    log: silent,
    limits,
  })
  return {
    store,
    dispatcher,
    sent,
    events,
    boards,
    clock,
    link,
    leasedTo: (device) =>
      sent.flatMap(({ topic }) => (topic.kind === 'device-in' && topic.device === device ? [topic.task ?? ''] : [])),
    answersTo: (requestId) =>
      sent.flatMap(({ topic, payload }) => {
        if (topic.kind !== 'requester-out') return []
        const answer = JSON.parse(String(payload)) as ResultMessage
        return (topic.task ?? answer.id) === requestId ? [answer] : []
      }),
    accepts: (requestId) =>
      sent.filter(({ topic }) => topic.kind === 'requester-ack' && topic.task === requestId).length,
    offer: (requestId, { requester = 'req-a', deadline, payload = JPEG, model = MODEL } = {}) =>
      dispatcher.offer({
        requester,
        model,
        requestId,
        payload: deadline === undefined ? payload : encodeFrame({ deadline, contentType: 'image/jpeg', data: payload }),
      }),
    balance: (account) => balanceOf(store.db, account),
    settled: async () => {
      // Marks of answers are rounds of their own, begun by the round before.
      for (let i = 0; i < 3; i++) {
        await dispatcher.settled()
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
  }
}

/** What an honest board claims for a task it answered with `success`. */
export const item = (task: string, at: number, more: Partial<ReceiptItem> = {}): ReceiptItem => ({
  task,
  model: MODEL_DIGEST,
  input: hash('sha256', JPEG, 'hex'),
  output: digestOf(`output of ${task}`),
  at,
  ms: 3,
  ...more,
})

export const frameIn = (message: Message | undefined) => {
  const parsed = parseFrame(message?.payload as Uint8Array)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.frame
}

export interface Folder {
  readonly path: string
  readonly file: string
  remove(): void
}

export function makeFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), 'bramble-test-'))
  return { path, file: join(path, 'console.db'), remove: () => rmSync(path, { recursive: true, force: true }) }
}

export const openStore = (folder: Folder): Promise<Store> => openDatabase(folder.file)
