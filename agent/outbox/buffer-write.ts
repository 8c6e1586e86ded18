// The one transaction of buffer.db: settle what was acknowledged, sign batches, make room, add answers.
import type { KeyObject } from 'node:crypto'
import { Runtime } from '../../broker/protocol/messages.ts'
import { hashOfBatch, ReceiptItem, signBatch } from '../../broker/protocol/receipts.ts'
import type { Statements, Totals, UncutItem } from './buffer-statements.ts'

/** A batch stays well below 120 KiB of payload, and a lost one costs little to send again. */
export const BATCH_ITEMS = 100
/** After a long outage a commit must still end soon: the rest waits for the next one. */
const BATCHES_PER_WRITE = 8
/** A taken answer is remembered this long for a repeated task id, and no more than this many are. */
const REMEMBERED_MS = 10 * 60_000
const REMEMBERED_ROWS = 20_000
/** Forgetting goes by whole pages, not by rows: a page that is emptied at once is never written. */
const FORGET_MS = 60_000
/** Acks are noted by this much time: one row for many. */
const ACK_SLOT_MS = 10_000
/** What a row costs beside its texts: key columns, page overhead, its index entries. */
const ROW_BYTES = 160
const EVICT_ROWS = 256

/** An answer on its way into the buffer. */
export interface Answer {
  /** `task`: ran well. `refusal`: a task's error answer. `sample`: an answer to a stream frame. */
  readonly kind: 'task' | 'refusal' | 'sample'
  readonly model: string
  readonly task?: string
  /** ResultMessage JSON, as it will be published. */
  readonly payload: string
  /** Answer a repeat of this task id from memory instead of running it. */
  readonly remember: boolean
  /** Present when the run earns a receipt: then only the console's ack settles the row, not a PUBACK. */
  readonly receipt?: { readonly item: ReceiptItem; readonly origin: number }
  /** MQTT 5: where else this goes, once it is on disk. Not kept: after a restart the sender's topic alone has it. */
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
}

export interface Changes {
  readonly answers: readonly Answer[]
  /** Rows whose PUBACK came. */
  readonly pubacked: readonly number[]
  /** The console holds every batch up to here. */
  readonly upTo?: number
  /**
   * Sign what earlier writes left in no batch. The answers of this one stay out: they are published on their own first,
   * so that an answer never waits for the acks of the batches before its own.
   */
  readonly cut: boolean
}

export interface Written {
  /** One per answer, in order. */
  readonly seqs: readonly number[]
  /** Batches made by this write. */
  readonly batches: number
  /** Owed rows dropped by the byte cap. */
  readonly evicted: number
}

interface Pen {
  readonly sql: Statements
  readonly device: string
  readonly chain: string
  readonly privateKey: KeyObject
  readonly capBytes: number
  readonly now: () => number
}

/** Runs inside the transaction. `next` is a copy of the totals: it replaces them only when the commit succeeded. */
export function applyChanges(pen: Pen, changes: Changes, next: Totals): Written & { full: boolean } {
  const at = pen.now()
  if (changes.upTo !== undefined) settleBatches(pen.sql, changes.upTo, at, next)
  for (const seq of changes.pubacked) settleRow(pen.sql, seq, at, next)
  const batches = changes.cut ? cut(pen, at, next) : 0
  const rows = changes.answers.map((answer) => rowOf(answer, at))
  const room = makeRoom(
    pen,
    rows.reduce((sum, row) => sum + row.bytes, 0),
    at,
    next,
  )
  const seqs = rows.map((row) => insert(pen.sql, row, next))
  return { seqs, batches, ...room }
}

function settleBatches(sql: Statements, upTo: number, at: number, next: Totals): void {
  const dropped = sql.dropBatches.all({ upTo })
  if (dropped.length === 0) return
  const items = dropped.reduce((sum, batch) => sum + batch.items, 0)
  next.ackedRow = Math.max(next.ackedRow, ...dropped.map(({ lastRow }) => lastRow))
  sql.noteAck.run({ at: Math.ceil(at / ACK_SLOT_MS) * ACK_SLOT_MS, row: next.ackedRow })
  next.settled += items
  next.owed -= items + dropped.length
  next.bytes -= sumOf(dropped)
}

function settleRow(sql: Statements, seq: number, at: number, next: Totals): void {
  const kept = sql.settleRow.all({ seq, at })
  const dropped = kept.length > 0 ? [] : sql.dropRow.all({ seq })
  next.settled += kept.length
  next.bytes -= sumOf(dropped)
  for (const { kind } of [...kept, ...dropped]) {
    next.owed -= 1
    if (kind !== 'task') next[kind] -= 1
  }
}

/** Taken answers go first, then samples, then refusals. Results with a receipt, and batches, never go. */
function makeRoom(
  { sql, capBytes }: Pen,
  incoming: number,
  at: number,
  next: Totals,
): { evicted: number; full: boolean } {
  const forget = (rows: readonly { bytes: number }[]): number => {
    next.bytes -= sumOf(rows)
    next.settled -= rows.length
    return rows.length
  }
  const forgetSome = (count: number): number => forget(sql.forgetSome.all({ count, ackedRow: next.ackedRow }))
  if (at - next.forgotAt >= FORGET_MS) {
    const before = at - REMEMBERED_MS
    const { row } = sql.ackedBefore.get({ before }) ?? { row: 0 }
    forget([...sql.forgetOlder.all({ before }), ...sql.forgetAcked.all({ row })])
    sql.dropAcks.run({ row })
    next.forgotAt = at
  }
  if (next.settled > REMEMBERED_ROWS + EVICT_ROWS) forgetSome(next.settled - REMEMBERED_ROWS)
  const over = (): boolean => next.bytes + incoming > capBytes
  while (over() && forgetSome(EVICT_ROWS) > 0);
  let evicted = 0
  for (const kind of ['sample', 'refusal'] as const) {
    while (over() && next[kind] > 0) {
      const dropped = sql.dropSpare.all({ kind, count: EVICT_ROWS })
      next.bytes -= sumOf(dropped)
      next.owed -= dropped.length
      next[kind] -= dropped.length
      evicted += dropped.length
    }
  }
  return { evicted, full: over() }
}

function rowOf(answer: Answer, at: number) {
  const { kind, model, task = null, payload, remember, receipt } = answer
  const item = receipt ? JSON.stringify(receipt.item) : null
  const bytes = ROW_BYTES + payload.length + (item?.length ?? 0)
  return { kind, model, task, payload, bytes, at, remembered: remember ? 1 : 0, origin: receipt?.origin ?? null, item }
}

function insert(sql: Statements, row: ReturnType<typeof rowOf>, next: Totals): number {
  const seq = next.lastRow + 1
  sql.insert.run({ seq, ...row })
  next.lastRow = seq
  next.bytes += row.bytes
  next.owed += 1
  if (row.kind !== 'task') next[row.kind] += 1
  if (row.item !== null) next.uncut += 1
  return seq
}

function cut(pen: Pen, at: number, next: Totals): number {
  let batches = 0
  for (; batches < BATCHES_PER_WRITE; batches += 1) {
    const items = sameOrigin(pen.sql.uncut.all({ after: next.cutRow, limit: BATCH_ITEMS }))
    if (items.length === 0) break
    addBatch(pen, items, at, next)
  }
  if (next.uncut === 0) next.cutRow = next.lastRow
  return batches
}

/** A batch names one boot and one runtime, so it ends where they change. */
function sameOrigin(items: readonly UncutItem[]): readonly UncutItem[] {
  const end = items.findIndex(({ origin }) => origin !== items[0]?.origin)
  return end < 0 ? items : items.slice(0, end)
}

function addBatch(pen: Pen, items: readonly UncutItem[], at: number, next: Totals): void {
  const seq = next.lastSeq + 1
  const first = items[0]?.seq ?? 0
  const last = items.at(-1)?.seq ?? 0
  const origin = pen.sql.origin.get({ id: items[0]?.origin ?? 0 })
  if (origin === undefined) throw new Error('a receipt item names no origin')
  const jws = signBatch(
    {
      device: pen.device,
      boot: origin.boot,
      chain: pen.chain,
      seq,
      prev: next.lastHash,
      runtime: Runtime.parse(JSON.parse(origin.runtime)),
      items: items.map(({ item }) => ReceiptItem.parse(JSON.parse(item))),
    },
    pen.privateKey,
  )
  const hash = hashOfBatch(jws)
  pen.sql.addBatch.run({ seq, first, last, jws, at, items: items.length })
  pen.sql.moveHead.run({ seq, hash })
  Object.assign(next, {
    lastSeq: seq,
    lastHash: hash,
    bytes: next.bytes + jws.length,
    owed: next.owed + 1,
    uncut: next.uncut - items.length,
    cutRow: last,
  })
}

const sumOf = (rows: readonly { bytes: number }[]): number => rows.reduce((sum, { bytes }) => sum + bytes, 0)
