// After a round is on disk: its messages go out, whoever waits for an answer gets it, and an answer that the broker took
// is marked so in its row by the next round, whichever comes: a commit of its own for each would double the disk's work.
import type { Logger } from 'pino'
import type { ResultMessage } from '../../broker/protocol/messages.ts'
import type { Topic } from '../../broker/protocol/topics.ts'
import type { Outgoing, Round, TaskEvent } from './round.ts'

export interface HandOver {
  /** Everything that a round wanted said. Returns at once. */
  deliver(round: Round): void
  /** Tasks whose answer is being told, or was told and is not marked yet. */
  readonly underWay: ReadonlySet<string>
  /** Those that the broker took. */
  readonly told: ReadonlySet<string>
  /** Their rows say so now. */
  marked(tasks: readonly string[]): void
  /** Calls back with the answer of a task, once; returns how to stop waiting. */
  onAnswer(task: string, callback: (answer: ResultMessage) => void): () => void
}

const isLease = ({ topic }: Outgoing): boolean => topic.kind === 'device-in'

export function createHandOver(options: {
  readonly send: (topic: Topic, payload: Uint8Array | string, options: { readonly qos: 0 | 1 }) => Promise<void>
  readonly emit: (event: TaskEvent) => void
  readonly log: Logger
}): HandOver {
  const { send, emit, log } = options
  const underWay = new Set<string>()
  const told = new Set<string>()
  const waiting = new Map<string, Set<(answer: ResultMessage) => void>>()

  async function say({ topic, payload, answers }: Outgoing): Promise<void> {
    if (answers !== undefined) underWay.add(answers)
    try {
      await send(topic, payload, { qos: 1 })
      if (answers !== undefined) told.add(answers)
    } catch (error) {
      if (answers !== undefined) underWay.delete(answers)
      // A lease ends by itself and an answer is told again in a later turn: nothing is lost by going on.
      log.warn({ err: error, topic: topic.kind }, 'a message of the dispatcher did not reach the broker')
    }
  }

  return {
    underWay,
    told,
    marked(tasks) {
      for (const task of tasks) {
        told.delete(task)
        underWay.delete(task)
      }
    },
    deliver(round) {
      // Work first: a board that waits costs more than a requester who hears "accepted" a moment later.
      const [leases, rest] = [round.outgoing.filter(isLease), round.outgoing.filter((message) => !isLease(message))]
      for (const message of [...leases, ...rest]) void say(message)
      for (const [task, answer] of round.answers) {
        for (const callback of waiting.get(task) ?? []) callback(answer)
        waiting.delete(task)
      }
      for (const event of round.events) emit(event)
    },
    onAnswer(task, callback) {
      const callbacks = waiting.get(task) ?? new Set()
      waiting.set(task, callbacks.add(callback))
      return () => {
        callbacks.delete(callback)
        if (callbacks.size === 0 && waiting.get(task) === callbacks) waiting.delete(task)
      }
    },
  }
}
