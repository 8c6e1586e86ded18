// Turns what happened to a frame into the answer that is owed for it, and hands it to the buffer.
import type { ErrorCode, ResultError, ResultMessage } from '../../broker/protocol/messages.ts'
import { type ModelPackage, nameOf } from '../../models/catalog.ts'
import type { RunOutcome } from '../../models/runtime/host.ts'
import type { Answer } from '../outbox/buffer-write.ts'
import type { Tally } from './tally.ts'

/** Where an answer goes: a task's own topic, or the stream's. */
export interface Address {
  /** The model's id as the topic named it. */
  readonly model: string
  readonly task?: string
  /** Echoed in the answer: the task id, or the frame's own id. */
  readonly id?: string
  /** MQTT 5: where else the sender listens, and what it wants to see again there. */
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
}

export interface Timing {
  readonly queue: number
  readonly decode: number
  readonly infer: number
}

/** What the host does not know of the time of a run. */
export interface Around {
  /** On this board without being decoded or run. */
  readonly queueMs: number
  /** After its deadline; 0 or less: in time. */
  readonly lateMs: number
}

export interface Answers {
  /** A run ended, well or not. `input` is the sha256 of the media bytes, asked for where a receipt names it. */
  ran(to: Address, pkg: ModelPackage, input: () => string, outcome: RunOutcome, around: Around): void
  /** It is not run: `model` names the package when it is known. */
  refused(to: Address, error: ResultError, queueMs?: number, pkg?: ModelPackage): void
}

/**
 * These speak about this board at this moment: the same id may be asked again and is then tried again. Every other
 * error would come out the same, so it is remembered like a result.
 */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'busy',
  'expired',
  'unknown-model',
  'timeout',
  'crashed',
  'model-failed',
])

interface Options {
  readonly device: string
  readonly now: () => number
  readonly newId: () => string
  readonly tally: Pick<Tally, 'answered' | 'refused'>
  readonly add: (answer: Answer) => void
  /** Names the process and what ran in receipts; undefined without a console, and then no receipt is made. */
  readonly origin: (provider: string | undefined) => number | undefined
  /** Joules for so much CPU time of the inference process, where something is known of it. */
  readonly energy?: ((cpuMs: number) => Energy | undefined) | undefined
}

export interface Energy {
  readonly j: number
  readonly from: 'measured' | 'estimated'
}

type Ran = Extract<RunOutcome, { ok: true }>

const NOT_RUN = { decode: 0, infer: 0 }
const tenths = (ms: number): number => Math.round(ms * 10) / 10

export function createAnswers({ device, now, newId, tally, add, origin, energy }: Options): Answers {
  const head = (to: Address, pkg: ModelPackage | undefined, timing: Timing) => ({
    id: to.task ?? to.id ?? newId(),
    model: pkg ? nameOf(pkg) : to.model,
    device,
    at: new Date(now()).toISOString(),
    ms: { queue: tenths(timing.queue), decode: tenths(timing.decode), infer: tenths(timing.infer) },
  })

  function give(
    to: Address,
    kind: 'task' | 'refusal',
    message: ResultMessage,
    more: Pick<Answer, 'remember' | 'receipt'>,
  ) {
    const { model, task, responseTopic, correlationData } = to
    const payload = JSON.stringify(message)
    const reply =
      responseTopic === undefined ? undefined : { responseTopic, ...(correlationData && { correlationData }) }
    add(
      task === undefined
        ? { kind: 'sample', model, payload, remember: false, ...reply }
        : { kind, model, task, payload, ...more, ...reply },
    )
  }

  function receiptOf(
    to: Address,
    pkg: ModelPackage,
    input: () => string,
    { digest: output, ms, provider }: Ran,
  ): Pick<Answer, 'receipt'> {
    const from = to.task === undefined ? undefined : origin(provider)
    if (to.task === undefined || from === undefined) return {}
    const item = {
      task: to.task,
      model: pkg.sha256,
      input: input(),
      output,
      at: Math.round(now()),
      ms: tenths(ms.infer),
    }
    return { receipt: { item, origin: from } }
  }

  function refused(to: Address, error: ResultError, timing: Timing, pkg?: ModelPackage): void {
    tally.refused(error.code)
    give(
      to,
      'refusal',
      { ...head(to, pkg, timing), error },
      { remember: to.task !== undefined && !PASSING.has(error.code) },
    )
  }

  return {
    ran(to, pkg, input, outcome, { queueMs, lateMs }) {
      const timing = { queue: queueMs, ...(outcome.ms ?? NOT_RUN) }
      if (!outcome.ok) return refused(to, outcome.error, timing, pkg)
      const { digest, prediction: result, cpuMs } = outcome
      tally.answered()
      const receipt = receiptOf(to, pkg, input, outcome)
      const joules = cpuMs === undefined ? undefined : energy?.(cpuMs)
      const late = tenths(lateMs)
      const body = {
        ...head(to, pkg, timing),
        ...(joules && { energy: joules }),
        ...(late > 0 && { lateMs: late }),
        digest,
        result,
      }
      give(to, 'task', body, { remember: true, ...receipt })
    },
    refused: (to, error, queueMs = 0, pkg) => refused(to, error, { queue: queueMs, ...NOT_RUN }, pkg),
  }
}
