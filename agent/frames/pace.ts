// What a run costs on this board, as lately measured, per model: what turns are paid with, when a task is too late to be
// begun, and what `retryAfterMs` is computed from.
import type { RunTimes } from '../../models/runtime/messages.ts'
import type { Estimates } from './queue.ts'

export interface Ended {
  readonly startedAt: number
  /** The how manyth it was for its process; absent where how long it was there says nothing: it was held back until it fitted. */
  readonly depth: number | undefined
  readonly now: number
  /** Absent for a run that never came back, or never began. */
  readonly ms: RunTimes | undefined
  /** It began, and its process died or was killed. */
  readonly killed: boolean
}

export interface Pace extends Estimates {
  /** Notes a run and returns what it cost, in milliseconds of an inference process. */
  ended(model: string, run: Ended): number
  /** Time until the host has worked off so many milliseconds: with several processes less, with busy cores more. */
  wallMs(hostMs: number): number
}

/** Before anything was measured: a small model on a small board. */
const FIRST_MS = 100
/** Weight of the newest sample. */
const WEIGHT = 0.2
/** A lead measured this long ago counts half: what was slow once (a cold start) must not keep tasks from being tried again. */
const HALVED_AFTER_MS = 10_000

interface Measured {
  costMs: number
  /** From handing it in to its answer, for each run that its process had in hand, itself included. */
  leadMs: number
  /** Mean deviation of the lead. */
  spreadMs: number
  at: number
}

/** `nextDepth`: the how manyth the next run would be for its process. */
export function createPace(elapsed: () => number, nextDepth: () => number): Pace {
  const models = new Map<string, Measured>()
  let lastEndAt = 0
  // Of lately: work done, and how long that took.
  let workMs = FIRST_MS
  let spanMs = FIRST_MS

  function measure(model: string, costMs: number, leadMs: number | undefined, at: number): void {
    const known = models.get(model)
    if (!known) {
      const firstMs = leadMs ?? costMs
      return void models.set(model, { costMs, leadMs: firstMs, spreadMs: firstMs / 2, at })
    }
    known.costMs += WEIGHT * (costMs - known.costMs)
    if (leadMs === undefined) return
    known.spreadMs += WEIGHT * (Math.abs(leadMs - known.leadMs) - known.spreadMs)
    known.leadMs += WEIGHT * (leadMs - known.leadMs)
    known.at = at
  }

  return {
    ended(model, { startedAt, depth, now, ms, killed }) {
      // Runs overlap, so how long the host worked on this one is the time since the last one ended, or its own.
      const span = Math.max(0, now - Math.max(startedAt, lastEndAt))
      lastEndAt = now
      // What says nothing about the next run is not learnt from.
      if (!ms) return killed ? span : 0
      const costMs = ms.decode + ms.infer
      measure(model, costMs, depth && (now - startedAt) / depth, now)
      workMs += WEIGHT * (costMs - workMs)
      spanMs += WEIGHT * (span - spanMs)
      return costMs
    },
    cost: (model) => models.get(model)?.costMs ?? FIRST_MS,
    lead(model) {
      const known = models.get(model)
      if (!known) return 0
      // As patient as a TCP sender (RFC 6298): nearly all runs end within the mean and four times the mean deviation.
      return nextDepth() * (known.leadMs + 4 * known.spreadMs) * 0.5 ** ((elapsed() - known.at) / HALVED_AFTER_MS)
    },
    wallMs: (hostMs) => (workMs > 0 ? (hostMs * spanMs) / workMs : hostMs),
  }
}
