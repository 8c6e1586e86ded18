// A board in virtual time, where runs take as long as is said: the real queue, gate and work, and a host of so many processes,
// each of which decodes one frame while it runs the one before. Offered four times what it can do, as in overload-run.ts.
import { pino } from 'pino'
import type { Clock } from '../../agent/clock.ts'
import { createHand } from '../../agent/frames/hand.ts'
import { createPace } from '../../agent/frames/pace.ts'
import { createQueue } from '../../agent/frames/queue.ts'
import { createSuspects } from '../../agent/frames/suspects.ts'
import { createTally } from '../../agent/frames/tally.ts'
import { createWork, type Job } from '../../agent/frames/work.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { RunOutcome } from '../../models/runtime/host.ts'
import { createFakeClock } from './fake-clock.ts'

const SOURCES = 20
const OVERLOAD = 4
const DECODE_MS = 4
const INFER_MS = 16
export const RUN_MS = DECODE_MS + INFER_MS
const DEADLINE_RUNS = [10, 60] as const

/** Numbers from 0 to 1 that are the same each time. */
function createDice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

/** Each process does its orders in turn; a frame is decoded while the one before it runs. */
function createCrew({ elapsed, after }: Clock, processes: number, inferMs: () => number): () => Promise<RunOutcome> {
  const crew = Array.from({ length: processes }, () => ({ load: 0, decodesFrom: 0, freeAt: 0 }))
  return () =>
    new Promise((resolve) => {
      const one = crew.reduce((best, other) => (other.load < best.load ? other : best))
      const now = elapsed()
      const infer = inferMs()
      const startsAt = Math.max(Math.max(now, one.decodesFrom) + DECODE_MS, one.freeAt)
      one.load += 1
      one.decodesFrom = startsAt
      one.freeAt = startsAt + infer
      const ms = { decode: DECODE_MS, infer }
      after(one.freeAt - now, () => {
        one.load -= 1
        resolve({ ok: true, prediction: { kind: 'classification', labels: [] }, digest: 'd', ms })
      })
    })
}

/** `jitter`: by which part a run may be longer or shorter. */
export async function live(options: { processes: number; jitter: number; seconds: number }) {
  const { processes, jitter, seconds } = options
  const { clock, advance } = createFakeClock(0)
  const dice = createDice(7)
  const run = createCrew(clock, processes, () => INFER_MS * (1 + jitter * (2 * dice() - 1)))
  const pkg = { sha256: 'a', manifest: { id: 'm', version: '1' } } as ModelPackage
  const streamMs: number[] = []
  let late = 0
  let met = 0
  const hand = createHand<Job>(() => processes)
  const pace = createPace(clock.elapsed, hand.nextDepth)
  const log = pino({ level: 'silent' })
  const jobs = new Map<string, Job>()
  const work = createWork({
    queue: createQueue<Job>({ framesPerModel: 64, bytesPerModel: 1e9 }, pace),
    pace,
    host: { run },
    answers: {
      ran({ id = '' }) {
        const job = jobs.get(id)
        if (!job) throw new Error(id)
        const overMs = clock.elapsed() - (job.deadline ?? 0)
        if (job.kind === 'frame') streamMs.push(clock.elapsed() - job.arrivedAt)
        else if (overMs > 0) late += 1
        else met += 1
      },
      refused() {},
    },
    tally: createTally(),
    suspects: createSuspects({ table: { all: () => [], put: () => true, forget: () => true }, now: clock.now, log }),
    clock,
    hand,
    slow: () => 0,
  })
  work.start()
  const everyMs = (SOURCES * INFER_MS) / (OVERLOAD * processes)
  const next = Array.from({ length: SOURCES }, (_, source) => (source * everyMs) / SOURCES)
  for (let at = 0; at < seconds * 1_000; at += 1) {
    for (const [source, due] of next.entries()) {
      if (due > at) continue
      next[source] = due + everyMs * (0.5 + dice())
      const id = `${source}-${jobs.size}`
      const kind = source % 2 === 0 ? 'frame' : 'task'
      const [soon, last] = DEADLINE_RUNS
      const arrivedAt = clock.elapsed()
      const job: Job = {
        kind,
        model: 'm',
        source: `s${source}`,
        arrivedAt,
        bytes: 1,
        to: { model: 'm', id, ...(kind === 'task' && { task: id }) },
        pkg,
        frame: { contentType: 'image/jpeg', data: new Uint8Array() },
        ...(kind === 'task' && { deadline: arrivedAt + RUN_MS * (soon + dice() * (last - soon)) }),
      }
      jobs.set(id, job)
      work.offer(job)
    }
    await advance(1)
  }
  streamMs.sort((a, b) => a - b)
  const at = (part: number): number => streamMs[Math.floor(part * streamMs.length)] ?? Number.NaN
  return { answered: streamMs.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), met, late }
}
