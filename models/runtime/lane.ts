// One lane of orders, answered in order: while the model runs one frame, the next is being decoded.
import type { ErrorCode, Runtime } from '../../broker/protocol/messages.ts'
import { messageOf, RunFailure } from './failure.ts'
import type { Order, Reply, RunOutcome } from './messages.ts'
import type { LoadableModel, Model } from './model.ts'
import type { Prepared } from './tasks/prepared.ts'

/** Decoding is shorter than most models' run; each frame more would hold 2 MiB of pixels and tensor. */
const DECODED_AHEAD = 1

/** Bytes that a run leaves to the garbage collector. */
export interface LeftBytes {
  readonly frame: number
  readonly outputs: number
}

interface LaneDeps {
  readonly open: (model: LoadableModel) => Promise<Model>
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly rssMiB: () => number
  /** CPU milliseconds of this process so far. */
  readonly cpuMs: () => number
  readonly runtimeOn: (provider: string) => Runtime
  readonly reply: (reply: Reply) => void
  /** Called once the answer is on its way: collecting must not delay it. */
  readonly afterRun: (bytes: LeftBytes) => void
}

type Decoded = { prepared: Prepared; decodeMs: number } | { failure: unknown; decodeMs: number }
type RunOrder = Extract<Order, { type: 'run' }>
interface Entry {
  readonly order: Order
  decoding?: Promise<Decoded>
}

export function createLane({ open, now, rssMiB, cpuMs, runtimeOn, reply, afterRun }: LaneDeps): {
  accept(order: Order): void
} {
  const models = new Map<string, Model>()
  const entries: Entry[] = []
  let isDraining = false
  /** Milliseconds that runs have held this thread: a decode that waited for one did not take that long. */
  let heldMs = 0
  const cpuSinceLast = createMeter(cpuMs)

  async function decode(model: Model, order: RunOrder): Promise<Decoded> {
    const [from, heldBefore] = [now(), heldMs]
    const decodeMs = () => Math.max(0, now() - from - (heldMs - heldBefore))
    try {
      const prepared = await model.prepare(order.frame)
      return { prepared, decodeMs: decodeMs() }
    } catch (failure) {
      return { failure, decodeMs: decodeMs() }
    }
  }

  function decodeAhead(): void {
    for (const entry of entries.slice(0, DECODED_AHEAD + 1)) {
      const { order } = entry
      // Behind a load nothing is known yet of the model's input.
      if (order.type !== 'run') return
      const model = models.get(order.key)
      if (model) entry.decoding ??= decode(model, order)
    }
  }

  async function infer(model: Model, decoded: Decoded): Promise<RunOutcome> {
    const { decodeMs } = decoded
    if ('failure' in decoded) return failed(decoded.failure, { decode: decodeMs, infer: 0 })
    const from = now()
    const ms = () => ({ decode: decodeMs, infer: now() - from })
    try {
      const answer = await model.run(decoded.prepared)
      return { ok: true, ...answer, ms: ms(), provider: model.provider }
    } catch (error) {
      return failed(error, ms())
    } finally {
      heldMs += now() - from
      decoded.prepared.release()
    }
  }

  async function run(entry: Entry, order: RunOrder): Promise<RunOutcome> {
    const model = models.get(order.key)
    if (!model) return { ok: false, error: { code: 'unknown-model', message: `${order.key} is not loaded` } }
    return infer(model, await (entry.decoding ?? decode(model, order)))
  }

  async function load({ id, key, model }: Extract<Order, { type: 'load' }>): Promise<Reply> {
    const before = rssMiB()
    try {
      const opened = await open(model)
      await models.get(key)?.close()
      models.set(key, opened)
      return loadedReply(id, opened, before, rssMiB(), runtimeOn)
    } catch (error) {
      return { type: 'load-failed', id, message: messageOf(error) }
    }
  }

  async function answer(entry: Entry): Promise<Reply> {
    const { order } = entry
    if (order.type === 'run') {
      const outcome = await run(entry, order)
      return { type: 'done', id: order.id, outcome, rssMiB: rssMiB(), cpuMs: cpuSinceLast() }
    }
    if (order.type === 'load') return await load(order)
    await models.get(order.key)?.close()
    models.delete(order.key)
    return { type: 'unloaded', id: order.id }
  }

  async function drain(): Promise<void> {
    isDraining = true
    for (let entry = entries[0]; entry; entry = entries[0]) {
      decodeAhead()
      reply(await answer(entry))
      entries.shift()
      if (entry.order.type === 'run')
        afterRun({ frame: entry.order.frame.data.byteLength, outputs: models.get(entry.order.key)?.outputBytes ?? 0 })
    }
    isDraining = false
  }

  return {
    accept(order) {
      entries.push({ order })
      if (isDraining) decodeAhead()
      else void drain()
    },
  }
}

/** Answers by how much `reading` has grown since it was asked before. */
function createMeter(reading: () => number): () => number {
  let last = reading()
  return () => {
    const before = last
    last = reading()
    return last - before
  }
}

const loadedReply = (
  id: number,
  { provider, passedOver }: Model,
  beforeMiB: number,
  rssMiB: number,
  runtimeOn: LaneDeps['runtimeOn'],
): Reply => ({
  type: 'loaded',
  id,
  runtime: runtimeOn(provider),
  rssMiB,
  grewMiB: Math.max(0, rssMiB - beforeMiB),
  provider,
  ...(passedOver !== undefined && { passedOver }),
})

/** A failure that nobody foresaw is the model's until shown otherwise: the frame was already decoded. */
const codeOf = (error: unknown): ErrorCode => (error instanceof RunFailure ? error.code : 'model-failed')

const failed = (error: unknown, ms: { decode: number; infer: number }): RunOutcome => ({
  ok: false,
  error: { code: codeOf(error), message: messageOf(error) },
  ms,
})
