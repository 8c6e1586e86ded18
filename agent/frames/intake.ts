// What arrives on the board's topics. Nothing here throws on foreign bytes: a bad payload is counted, logged once a day
// per sender, and answered with an error on the topic where its sender listens.
import type { Logger } from 'pino'
import type { MessageMeta } from '../../broker/link/terms.ts'
import { AckMessage, type DropReason, type ResultError } from '../../broker/protocol/messages.ts'
import { parseTopic, type Topic } from '../../broker/protocol/topics.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { Clock } from '../clock.ts'
import type { Buffer } from '../outbox/buffer.ts'
import type { Commits } from '../outbox/commits.ts'
import type { Outbox } from '../outbox.ts'
import type { Address, Answers } from './answers.ts'
import { addressOf, readJob } from './reading.ts'
import type { Serving } from './serving.ts'
import type { Tally } from './tally.ts'
import type { Work } from './work.ts'

export interface Intake {
  /** One MQTT message. What is to be remembered of it is in the queue when this returns. */
  receive(topic: string, payload: Uint8Array, retain: boolean, meta?: MessageMeta): void
  /** From now on nothing is taken in. */
  stop(): void
}

interface Options {
  readonly root: string
  readonly payloadBytes: number
  readonly chain: () => string
  readonly models: Pick<Serving, 'find' | 'names' | 'fault'>
  readonly work: Pick<Work, 'offer' | 'has'>
  readonly answers: Pick<Answers, 'refused'>
  readonly tally: Pick<Tally, 'arrived' | 'dropped'>
  readonly buffer: Pick<Buffer, 'answered' | 'full'>
  readonly commits: Pick<Commits, 'holds' | 'failing'>
  readonly outbox: Pick<Outbox, 'again' | 'acknowledged' | 'forked' | 'isUp'>
  readonly clock: Pick<Clock, 'now' | 'elapsed'>
  /** This board's clock minus that of whoever writes deadlines; undefined while that is not known. */
  readonly skewMs: () => number | undefined
  readonly log: Logger
}

type FrameTopic = Extract<Topic, { kind: 'device-in' }>

const RETRY_LATER_MS = 10_000

/** It would come again at every connection. */
const OLD: ResultError = {
  code: 'expired',
  message: 'it came as a retained message, and nobody can tell how old it is: publish tasks without the retain flag',
}

export function createIntake(options: Options): Intake {
  const { root, chain, models, work, answers, tally, buffer, commits, outbox, clock } = options
  const complain = createComplaints(options.log, clock.elapsed)
  let stopped = false

  /** True when the task id is known already; what is to be done about it is done. */
  function isRepeat(model: string, task: string, meta?: MessageMeta): boolean {
    const underWay = work.has(model, task) || commits.holds(model, task)
    const row = underWay ? undefined : buffer.answered(model, task)
    if (row) outbox.again(row.seq, { ...meta, payload: row.payload })
    if (underWay || row) tally.dropped('duplicate')
    return underWay || row !== undefined
  }

  /** Why a stream's frame is not taken in now. Its answer needs no disk while it can be sent. */
  function droppedBecause(retain: boolean): DropReason | undefined {
    if (retain) return 'retained'
    if (stopped) return 'stopping'
    if (outbox.isUp()) return undefined
    if (commits.failing()) return 'disk-failing'
    return buffer.full() ? 'outbox-full' : undefined
  }

  /** Why no task is taken in now. */
  function closedBecause(): string | undefined {
    if (stopped) return 'this board is shutting down'
    if (commits.failing()) return "this board's disk does not take results at the moment"
    return buffer.full() ? "this board's outbox is full of receipts that no console has acknowledged" : undefined
  }

  function receiveFrame(
    topic: FrameTopic,
    text: string,
    payload: Uint8Array,
    retain: boolean,
    meta?: MessageMeta,
  ): void {
    const { model, task } = topic
    tally.arrived()
    const dropped = task === undefined ? droppedBecause(retain) : undefined
    if (dropped !== undefined) return void tally.dropped(dropped)
    if (task !== undefined && isRepeat(model, task, meta)) return
    const closed = task === undefined ? undefined : closedBecause()
    const pkg = models.find(model)
    const to = addressOf({ ...topic, meta })
    if (retain) refuse(to, text, OLD, pkg)
    else if (closed !== undefined)
      answers.refused(to, { code: 'busy', message: closed, retryAfterMs: RETRY_LATER_MS }, 0, pkg)
    else if (!pkg) refuse(to, text, unserved(models, model))
    else {
      const job = readJob({ ...topic, payload, pkg, meta }, options.payloadBytes, clock, options.skewMs())
      if ('error' in job) refuse(job.to, text, job.error, pkg)
      else work.offer(job)
    }
  }

  function refuse(to: Address, text: string, error: ResultError, pkg?: ModelPackage): void {
    // A task's topic is new each time: the sender is whoever feeds this model.
    complain(`in/${to.model}`, text, error.message)
    answers.refused(to, error, 0, pkg)
  }

  function receiveAck(text: string, payload: Uint8Array): void {
    const ack = AckMessage.safeParse(jsonOf(payload))
    if (!ack.success) complain('ack', text, 'not an ack {chain, upTo}')
    // An ack of another chain speaks about a file that was set aside.
    else if (ack.data.chain === chain()) ack.data.forked ? outbox.forked() : outbox.acknowledged(ack.data.upTo)
  }

  return {
    receive(text, payload, retain, meta) {
      const topic = parseTopic(text, root)
      if (topic?.kind === 'device-in') receiveFrame(topic, text, payload, retain, meta)
      else if (topic?.kind === 'ack') receiveAck(text, payload)
      else complain(text, text, 'nothing is known of this topic')
    },
    stop() {
      stopped = true
    },
  }
}

function unserved(models: Options['models'], model: string): ResultError {
  const fault = models.fault(model)
  return fault === undefined
    ? { code: 'unknown-model', message: `this board does not serve ${model}; it serves ${models.names().join(', ')}` }
    : { code: 'model-failed', message: `${model} cannot be loaded on this board: ${fault}` }
}

/** Senders whose first bad message of the day was logged; beyond this many they are only counted. */
const REMEMBERED_SENDERS = 256
const DAY_MS = 86_400_000

function createComplaints(log: Logger, elapsed: () => number): (sender: string, topic: string, reason: string) => void {
  const said = new Set<string>()
  let since = elapsed()
  return (sender, topic, reason) => {
    if (elapsed() - since >= DAY_MS) {
      said.clear()
      since = elapsed()
    }
    if (said.has(sender) || said.size >= REMEMBERED_SENDERS) return
    said.add(sender)
    log.warn({ topic, reason }, 'a bad message (said once a day for this sender)')
  }
}

function jsonOf(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload))
  } catch {
    return undefined
  }
}
