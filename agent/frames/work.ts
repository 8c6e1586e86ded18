// Takes frames from the queue and keeps the inference host filled: runs under way and the next ones decoding. A task over which
// a process died is tried once more, alone; an input that killed twice is refused from then on (suspects.ts).
import type { ContentType } from '../../broker/protocol/envelope.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { InferenceHost } from '../../models/runtime/host.ts'
import type { Clock } from '../clock.ts'
import type { Address, Answers } from './answers.ts'
import { createEndings, type Endings } from './endings.ts'
import { createGate } from './gate.ts'
import type { Hand } from './hand.ts'
import { createHeld } from './held.ts'
import type { Pace } from './pace.ts'
import type { Queue, Waiting } from './queue.ts'
import { createRests, type Rests } from './rests.ts'
import { createRuns } from './runs.ts'
import { createStock } from './stock.ts'
import type { Suspects } from './suspects.ts'
import type { Tally } from './tally.ts'

/** A frame that was taken in. */
export interface Job extends Waiting {
  readonly to: Address
  readonly pkg: ModelPackage
  readonly frame: { readonly contentType: ContentType; readonly data: Uint8Array }
  /** Its first run killed the process. */
  readonly retried?: true
  /** Of the media bytes, once somebody asked. */
  inputSha256?: string
}

export interface Work {
  /** Queues the job or refuses it; either way it is accounted for. */
  offer(job: Job): void
  /** The host is ready: begin. */
  start(): void
  /** True for a task that waits or runs. */
  has(model: string, task: string): boolean
  /** Frames waiting or running. */
  load(): number
  running(): number
  /** Runs that ended, well or not, since the start. */
  ended(): number
  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void>
  /** Resolves when no frame taken for this package waits or runs any more. */
  finished(pkg: ModelPackage): Promise<void>
  /** Answers everything that waits with `busy`: the board goes away. */
  giveUp(): void
}

export interface WorkOptions {
  readonly queue: Queue<Job>
  readonly pace: Pace
  readonly host: Pick<InferenceHost, 'run'>
  readonly answers: Answers
  readonly tally: Pick<Tally, 'dropped'>
  readonly suspects: Suspects
  readonly clock: Clock
  /** What the host has been given. */
  readonly hand: Hand<Waiting>
  /** Milliseconds of pause between runs; Infinity: no work until the board has cooled down. */
  readonly slow: () => number
  /** A frame of a stream was run and answered. */
  readonly seen?: ((job: Job) => void) | undefined
}

/** How often is looked for tasks that are too late, and whether the board has cooled down, when no run ends. */
const LOOK_MS = 250

const keyOf = (model: string, task: string): string => `${model}/${task}`

export function createWork(options: WorkOptions): Work {
  const { queue, pace, hand, clock, suspects } = options
  const tasks = new Set<string>()
  const held = createHeld<ModelPackage>()
  const gate = createGate(options)
  const stock = createStock(queue, gate, hand)
  const rests = createRests(clock.elapsed)
  const runs = createRuns({ ...options, rests }, gate)
  const look = createLook(clock, pump)
  const waiting: (() => void)[] = []
  let started = false

  const endings = createEndings({
    ...options,
    left({ to, pkg }) {
      held.drop(pkg)
      if (to.task !== undefined) tasks.delete(keyOf(to.model, to.task))
    },
    aheadMs: ({ source, model }) =>
      pace.wallMs(queue.aheadMs(source) + hand.size * pace.cost(model)) + options.slow() * Math.max(1, stock.size()),
    waiting: stock.size,
  })

  const isRefused = createRefusing(suspects, rests, endings)
  const next = (): Job | undefined => (started ? stock.next(clock.elapsed()) : undefined)

  function feed(): void {
    for (const job of stock.expire(clock.elapsed())) endings.unrun(job, 'late')
    if (gate.isShut()) for (const job of stock.dropFrames()) endings.unrun(job, 'too-hot')
    for (let job = next(); job !== undefined; job = next()) {
      if (isRefused(job)) {
        stock.ended(job)
        queue.charge(job.source, -pace.cost(job.model))
      } else if (stock.isAlone(job) || !suspects.isSuspected(job)) void run(job)
      else stock.setAside(job)
    }
    if (stock.size() > 0) look(Math.min(LOOK_MS, gate.waitMs()))
  }

  function pump(): void {
    feed()
    if (stock.size() > 0 || hand.size > 0) return
    for (const resolve of waiting.splice(0)) resolve()
  }

  async function run(job: Job): Promise<void> {
    const begun = runs.begin(job)
    const outcome = await options.host.run(job.pkg, job.frame, job.deadline)
    const queuedMs = runs.end(job, begun, outcome)
    const verdict = runs.judge(job, outcome, stock.isAlone(job))
    stock.ended(job)
    if (verdict === 'again') stock.setAside({ ...job, retried: true })
    // The host is fed before the answer is written: while this process waits for the disk, the next run goes on.
    feed()
    if (verdict !== 'again') endings.ran(job, outcome, queuedMs, verdict === 'poison')
    pump()
  }

  function put(job: Job): boolean {
    const offered = queue.offer(job)
    if (!offered.ok) return false
    if (offered.replaced) endings.unrun(offered.replaced, 'newer-frame')
    for (const other of offered.displaced) endings.unrun(other, 'queue-full')
    return true
  }

  return {
    offer(job) {
      held.add(job.pkg)
      if (isRefused(job, job.kind === 'task')) return
      if (job.kind === 'frame' && gate.isShut()) return endings.unrun(job, 'too-hot')
      if (!put(job)) return endings.unrun(job, 'queue-full')
      if (job.to.task !== undefined) tasks.add(keyOf(job.to.model, job.to.task))
      pump()
    },
    start() {
      started = true
      pump()
    },
    has: (model, task) => tasks.has(keyOf(model, task)),
    load: () => stock.size() + hand.size,
    running: () => hand.size,
    ended: runs.ended,
    idle: () =>
      hand.size === 0 && stock.size() === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve)),
    finished: held.none,
    giveUp() {
      runs.last()
      for (const job of stock.clear()) endings.unrun(job, 'stopping')
    },
  }
}

/** True for what must not be run, its input or its model; then it is told so. Only what is `hashed` is known by its input. */
const createRefusing =
  (suspects: Suspects, rests: Pick<Rests, 'of'>, endings: Endings) =>
  (job: Job, hashed = true): boolean => {
    const how = hashed ? suspects.poisonedBy(job) : undefined
    const rest = rests.of(job.pkg.sha256)
    if (how !== undefined) endings.poisonous(job, how)
    else if (rest) endings.resting(job, rest)
    return how !== undefined || rest !== undefined
  }

/** Calls `then` after `delayMs` or, when asked again meanwhile, at the earlier of the two moments. */
function createLook(clock: Pick<Clock, 'elapsed' | 'after'>, then: () => void): (delayMs: number) => void {
  let dueAt = Number.POSITIVE_INFINITY
  let stop: (() => void) | undefined
  return (delayMs) => {
    const at = clock.elapsed() + delayMs
    if (dueAt <= at) return
    stop?.()
    dueAt = at
    stop = clock.after(delayMs, () => {
      dueAt = Number.POSITIVE_INFINITY
      then()
    })
  }
}
