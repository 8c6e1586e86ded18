// Publishes receipt batches in the order of their chain, each after the results in it, and again until the console's own
// ack names them: a PUBACK says that a broker has it, not that anybody keeps it.
import type { Clock } from '../clock.ts'
import type { Buffer } from './buffer.ts'
import type { StoredBatch } from './buffer-statements.ts'
import type { Recent } from './recent.ts'
import { refusalOf } from './refused.ts'
import type { Line, ResultSender } from './result-sender.ts'

/** Batches in flight without an ack; after a long outage the rest waits its turn. */
const WINDOW = 8
/** A batch without its ack for this long goes out again, with its results. */
export const RESEND_MS = 10_000
/**
 * A console may be away for a month while its broker is not, and a window every ten seconds is gigabytes a day. After a minute without
 * an ack only the oldest batch goes out again, each time after a quarter of the silence so far, and after five minutes at most.
 */
const AWAY_MS = 60_000
const SILENCES = 4
const LONGEST_RESEND_MS = 5 * 60_000
const TICK_MS = 1_000

export interface BatchSender {
  pump(): void
  /** Everything not acknowledged goes out again, oldest first. */
  restart(): void
  acknowledged(upTo: number): void
  /** Another chain: its batches are numbered from 1. */
  renewed(): void
  close(): void
}

interface Options {
  readonly buffer: Pick<Buffer, 'nextBatch' | 'resultsOf'>
  readonly results: Pick<ResultSender, 'send'>
  readonly clock: Clock
  readonly line: Line
  readonly topic: string
  /** Results that reached the broker lately need not go out again with their batch. */
  readonly arrived: Recent
}

interface Flight {
  /** Unset until its PUBACK. */
  sentAt?: number
}

export function createBatchSender({ buffer, results, clock, line, topic, arrived }: Options): BatchSender {
  const flights = new Map<number, Flight>()
  let last = 0
  let acked = 0
  let stopTick: (() => void) | undefined
  /** Until an ack comes. */
  let isAway = false
  /** When the oldest batch that no ack came for went out first on this connection. */
  let silentSince: number | undefined
  /** Resolves when the batches so far are handed to the connection: a console takes no batch before the one it names. */
  let issued = Promise.resolve()

  function pump(): void {
    while (line.up && flights.size < (isAway ? 1 : WINDOW)) {
      const next = buffer.nextBatch(Math.max(last, acked))
      if (next === undefined) break
      last = next.seq
      const flight = {}
      flights.set(next.seq, flight)
      issued = send(next, flight, issued)
    }
    if (flights.size > 0) stopTick ??= clock.after(TICK_MS, tick)
  }

  /** Resolves when it is handed over, or need not be. */
  async function send({ seq, jws }: StoredBatch, flight: Flight, before: Promise<void>): Promise<void> {
    await results.send(buffer.resultsOf(seq).filter((row) => !arrived.has(row.seq)))
    await before
    // Unless it was acknowledged or started again meanwhile.
    if (flights.get(seq) === flight) void publish(jws, flight)
  }

  async function publish(jws: string, flight: Flight): Promise<void> {
    try {
      await line.publish(topic, jws)
      flight.sentAt = clock.elapsed()
    } catch (error) {
      // Refused: tried again like one without its ack.
      if (refusalOf(error)) flight.sentAt = clock.elapsed()
      else line.lost(error)
    }
  }

  function tick(): void {
    stopTick = undefined
    const [oldest] = flights.values()
    if (line.up && oldest?.sentAt !== undefined && isOverdue(oldest.sentAt)) sendAgain()
    pump()
  }

  function isOverdue(sentAt: number): boolean {
    silentSince ??= sentAt
    const silentMs = clock.elapsed() - silentSince
    isAway ||= silentMs >= AWAY_MS
    return clock.elapsed() - sentAt >= Math.min(LONGEST_RESEND_MS, Math.max(RESEND_MS, silentMs / SILENCES))
  }

  function sendAgain(): void {
    flights.clear()
    arrived.clear()
    issued = Promise.resolve()
    last = acked
  }

  function restart(): void {
    silentSince = undefined
    sendAgain()
  }

  return {
    pump,
    restart,
    acknowledged(upTo) {
      isAway = false
      silentSince = undefined
      acked = Math.max(acked, upTo)
      for (const seq of flights.keys()) if (seq <= upTo) flights.delete(seq)
      pump()
    },
    renewed() {
      acked = 0
      restart()
    },
    close: () => stopTick?.(),
  }
}
