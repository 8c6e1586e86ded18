// Publishes answers, a bounded number at a time: fresh ones in the order they were committed, repeats when asked, and
// what need not be kept without the disk.
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Buffer } from './buffer.ts'
import type { StoredRow } from './buffer-statements.ts'
import type { Commits } from './commits.ts'
import type { Recent } from './recent.ts'
import { createRefused, createTolerant, refusalOf } from './refused.ts'
import { createSlots } from './slots.ts'
import { createSpan } from './span.ts'

/** Publishes in flight: enough to fill a round trip, few enough for engines that allow 100 unacknowledged. */
const WINDOW = 24

/** The connection, as both senders see it. A publish that fails means that it is gone, or not fit to be used for a while. */
export interface Line {
  up: boolean
  /** QoS 1; rejects when the link is down or goes down, and for what the broker does not take (`refusalOf`). */
  publish(topic: string, payload: string): Promise<void>
  lost(error: unknown): void
}

export interface ResultSender {
  /** Sends what is committed and was not sent yet, as far as the window allows. */
  pump(): void
  /** Sends these rows; resolves when each has its PUBACK or was put back. */
  send(rows: readonly StoredRow[]): Promise<void>
  again(seq: number): void
  /** Publishes what is not in the buffer, now. False when the line is down or the window is full; `failed` when it broke. */
  trySend(topic: string, payload: string, failed: (error: unknown) => void): boolean
  /** How long an answer is on its way to the broker and its PUBACK back, at most. */
  wayMs(): number
  /** Resolves when nothing waits and nothing is in flight. */
  published(): Promise<void>
  close(): void
}

interface Options {
  readonly buffer: Pick<Buffer, 'loose' | 'row' | 'lastRow' | 'inBatch'>
  readonly commits: Pick<Commits, 'settle'>
  readonly clock: Clock
  readonly line: Line
  readonly topicOf: (row: Pick<StoredRow, 'model' | 'task'>) => string
  /** Rows that only an ack settles are noted here at their PUBACK. */
  readonly arrived: Recent
  readonly log: Logger
}

export function createResultSender({ buffer, commits, clock, line, topicOf, arrived, log }: Options): ResultSender {
  const slots = createSlots(WINDOW)
  const way = createSpan()
  /** Rows to be sent again, because their sending failed (false) or because somebody asked (true): once, however often. */
  const repeats = new Map<number, boolean>()
  const flying = new Map<number, Promise<void>>()
  const publish = createTolerant(line.publish, log)
  const repeat = (seq: number): unknown => repeats.set(seq, repeats.get(seq) ?? false)
  const refused = createRefused(clock, log, (seqs) => {
    seqs.forEach(repeat)
    pump()
  })
  let waiting: (() => void)[] = []
  /** The last row that was sent for the first time. */
  let cursor = 0

  function pump(): void {
    if (!line.up) return
    for (const [seq, asked] of repeats.entries().take(slots.free()).toArray()) {
      repeats.delete(seq)
      const row = buffer.row(seq)
      // What is in a batch by now goes out with it.
      if (row && (asked || !buffer.inBatch(row)) && slots.tryTake()) void launch(row)
    }
    if (slots.free() > 0) launchNew(slots.free())
    if (slots.free() < WINDOW) return
    for (const resolve of waiting) resolve()
    waiting = []
  }

  function launchNew(limit: number): void {
    const newest = buffer.lastRow()
    const rows = buffer.loose(cursor, limit)
    for (const row of rows) {
      if (!slots.tryTake()) return
      cursor = row.seq
      void launch(row)
    }
    // What was passed over is in batches: a backlog of them is looked through once.
    if (rows.length < limit) cursor = newest
  }

  /** For a row that has a slot. */
  function launch(row: StoredRow): Promise<void> {
    const flight = sendOne(row)
    flying.set(row.seq, flight)
    return flight
  }

  /** One that fails is sent again on the next connection. */
  async function sendOne(row: StoredRow): Promise<void> {
    const sentAt = clock.elapsed()
    try {
      await publish(topicOf(row), row.payload)
      way.note(clock.elapsed() - sentAt)
      if (row.receipted === 1) arrived.add(row.seq, clock.elapsed())
      else commits.settle(row.seq)
    } catch (error) {
      if (refusalOf(error)) refused.add(row.seq, error)
      else {
        line.lost(error)
        repeat(row.seq)
      }
    }
    flying.delete(row.seq)
    slots.give(pump)
  }

  return {
    pump,
    async send(rows) {
      const sent: Promise<void>[] = []
      for (const row of rows) {
        const flight = flying.get(row.seq)
        if (flight === undefined) await slots.take()
        sent.push(flight ?? launch(row))
      }
      await Promise.all(sent)
    },
    trySend: createUnkept(publish, line, slots, pump),
    again(seq) {
      repeats.set(seq, true)
      pump()
    },
    wayMs: way.mostMs,
    published() {
      // What the broker refuses keeps nobody waiting: it stays in the buffer.
      const nothing = slots.free() === WINDOW && repeats.size === 0 && buffer.loose(cursor, 1).length === 0
      return nothing ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))
    },
    close: refused.close,
  }
}

/** What need not be kept goes out from memory, in the same window. */
function createUnkept(
  publish: Line['publish'],
  line: Line,
  slots: ReturnType<typeof createSlots>,
  pump: () => void,
): ResultSender['trySend'] {
  async function send(topic: string, payload: string, failed: (error: unknown) => void): Promise<void> {
    try {
      await publish(topic, payload)
    } catch (error) {
      if (!refusalOf(error)) line.lost(error)
      failed(error)
    }
    slots.give(pump)
  }
  return (topic, payload, failed) => {
    if (!line.up || !slots.tryTake()) return false
    void send(topic, payload, failed)
    return true
  }
}
