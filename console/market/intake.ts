// Takes a task in, or says why not: in the order in which a sender can do something about it.
import type { Frame, ParsedFrame } from '../../broker/protocol/envelope.ts'
import { type ResultError, ResultMessage } from '../../broker/protocol/messages.ts'
import { type OpenTask, weightOf } from './book.ts'
import { answerTopic, type Market, type Round, refusal } from './round.ts'
import { taskRow } from './rows.ts'
import { noBudget, refuseFrame, takeFrame } from './stream-frames.ts'

/** What a requester sent, parsed and hashed before the transaction begins. */
export interface Offer {
  readonly requester: string
  /** The requester's own id of the task; absent for a stream frame. */
  readonly requestId?: string
  readonly model: string
  readonly bytes: number
  readonly parsed: ParsedFrame
  readonly inputSha256: string
}

export type Offered =
  /** Held now, or held already under the same id. `task` is the id that boards see. */
  | { readonly state: 'accepted'; readonly task: string }
  /** `answered`: this id was answered before, and this is that answer. */
  | { readonly state: 'refused' | 'answered'; readonly answer: ResultMessage }
  /** A stream frame: leased, waiting or dropped; nobody promised anything. */
  | { readonly state: 'frame' }

type Checked =
  | { readonly ok: true; readonly frame: Frame; readonly deadlineAt: number; readonly price: bigint }
  | { readonly ok: false; readonly error: ResultError }

const no = (code: ResultError['code'], message: string, retryAfterMs?: number): Checked => ({
  ok: false,
  error: { code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) },
})

function check(market: Market, { model, bytes, parsed, requestId }: Offer, now: number): Checked {
  const { limits, prices, book } = market
  const price = prices.of(model)
  if (!price) {
    const offered = prices.list().map((known) => known.model)
    return no('unknown-model', `there is no model "${model}" here; there are: ${offered.join(', ') || 'none'}`)
  }
  if (bytes > limits.payloadBytes)
    return no('too-large', `the payload has ${bytes} bytes, at most ${limits.payloadBytes} are taken`)
  if (!parsed.ok) return no('bad-envelope', parsed.message)
  const { deadline } = parsed.frame
  if (deadline !== undefined && deadline <= now)
    return no('expired', `the deadline passed ${now - deadline} ms before the frame came in: check the sender's clock`)
  if (book.storedBytes + weightOf(bytes) > limits.storedBytes)
    return no('busy', `${book.size} tasks are waiting already: send it again later`, limits.retryAfterMs)
  const [usualMs, longestMs] =
    requestId === undefined
      ? [limits.frameDeadlineMs, limits.frameDeadlineMs]
      : [limits.deadlineMs, limits.maxDeadlineMs]
  const deadlineAt = Math.min(deadline ?? now + usualMs, now + longestMs)
  return { ok: true, frame: parsed.frame, deadlineAt, price: price.units }
}

function newTask(market: Market, now: number, offer: Offer, checked: Checked & { ok: true }): OpenTask {
  const id = market.newId()
  const isFrame = offer.requestId === undefined
  return {
    id,
    requester: offer.requester,
    requestId: offer.requestId ?? id,
    kind: isFrame ? 'frame' : 'task',
    model: offer.model,
    contentType: checked.frame.contentType,
    bytes: checked.frame.data.byteLength,
    price: checked.price,
    acceptedAt: now,
    deadlineAt: checked.deadlineAt,
    frameId: isFrame ? checked.frame.id : undefined,
    attempts: 0,
    avoid: new Map(),
    lease: undefined,
    lastDevice: undefined,
  }
}

function tellAccepted(round: Round, { requester }: Offer, requestId: string): void {
  const message = { task: requestId, state: 'accepted', at: new Date(round.now).toISOString() }
  round.tell({ topic: { kind: 'requester-ack', requester, task: requestId }, payload: JSON.stringify(message) })
}

const resultTopic = (offer: Offer, requestId: string) =>
  answerTopic({ kind: 'task', requester: offer.requester, requestId, model: offer.model })

/** The same id again: never a second run. */
async function offeredBefore(round: Round, offer: Offer, requestId: string): Promise<Offered | undefined> {
  const row = await round.trx
    .selectFrom('tasks')
    .select(['id', 'result'])
    .where('requester_id', '=', offer.requester)
    .where('request_id', '=', requestId)
    .executeTakeFirst()
  if (!row) return undefined
  if (row.result === null) {
    tellAccepted(round, offer, requestId)
    return { state: 'accepted', task: row.id }
  }
  round.tell({ topic: resultTopic(offer, requestId), payload: row.result })
  return { state: 'answered', answer: ResultMessage.parse(JSON.parse(row.result)) }
}

async function insertTask(market: Market, round: Round, task: OpenTask, data: Uint8Array, inputSha256: string) {
  await round.trx
    .insertInto('tasks')
    .values({ ...taskRow(task, inputSha256), state: 'queued' })
    .execute()
  await round.trx.insertInto('task_payloads').values({ task_id: task.id, data }).execute()
  round.payloads.set(task.id, data)
  market.book.add(task)
  market.counters.accepted()
  round.note({ type: 'task-accepted', task: task.id, state: 'queued' })
  round.later(() => market.frames.keep(task.id, task.contentType, data))
}

const NO_REQUESTER: ResultError = {
  code: 'budget-exhausted',
  message: 'there is no such requester here, so there is no budget: ask the operator for one',
}

async function isRequester(round: Round, id: string): Promise<boolean> {
  const row = await round.trx.selectFrom('requesters').select('id').where('id', '=', id).executeTakeFirst()
  return row !== undefined
}

/** Each refusal is published where the answer would have been, and returned for whoever asked by HTTP. */
export async function takeTask(market: Market, round: Round, offer: Offer, requestId: string): Promise<Offered> {
  const before = await offeredBefore(round, offer, requestId)
  if (before) return before
  const refuse = (error: ResultError): Offered => {
    const answer = refusal(requestId, offer.model, round.now, error)
    round.tell({ topic: resultTopic(offer, requestId), payload: JSON.stringify(answer) })
    return { state: 'refused', answer }
  }
  if (!(await isRequester(round, offer.requester))) return refuse(NO_REQUESTER)
  const checked = check(market, offer, round.now)
  if (!checked.ok) return refuse(checked.error)
  const task = newTask(market, round.now, offer, checked)
  const reserved = await round.reserve(task.requester, task.id, task.price)
  if (!reserved.ok) return refuse(noBudget(task.model, task.price, reserved.left))
  await insertTask(market, round, task, checked.frame.data, offer.inputSha256)
  tellAccepted(round, offer, requestId)
  return { state: 'accepted', task: task.id }
}

export async function takeStreamFrame(market: Market, round: Round, offer: Offer): Promise<Offered> {
  const checked = (await isRequester(round, offer.requester))
    ? check(market, offer, round.now)
    : ({ ok: false, error: NO_REQUESTER } as const)
  if (checked.ok) {
    const task = newTask(market, round.now, offer, checked)
    takeFrame(market, { task, data: checked.frame.data, inputSha256: offer.inputSha256 })
  } else {
    const { requester, model } = offer
    const frameId = offer.parsed.ok ? offer.parsed.frame.id : undefined
    refuseFrame(market, round, { requester, model, requestId: market.newId(), frameId }, checked.error)
  }
  return { state: 'frame' }
}
