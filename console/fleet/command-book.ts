// The commands of each board and what was answered, as long as there is room: in memory, because a command is a question of
// this hour, not a wish that outlives a restart.
import type { ReplyMessage } from '../../broker/protocol/messages.ts'
import type { CommandView } from '../routes/commands.ts'

export interface Command {
  readonly id: string
  readonly device: string
  readonly name: string
  readonly payload: string
  readonly at: number
  readonly expiresAt: number
  state: CommandView['state']
  /** 0: not yet. */
  sentAt: number
  endedAt?: number
  reply?: ReplyMessage
}

const KEPT_PER_BOARD = 20
/** Characters of answers, all boards together: logs are up to 100 KiB each. */
const KEPT_CHARS = 16 * 1024 * 1024

const iso = (at: number): string => new Date(at).toISOString()
export const isOpen = ({ state }: Pick<Command, 'state'>): boolean => state === 'queued' || state === 'sent'

function reasonOf({ state, reply, expiresAt, sentAt }: Command): string {
  if (reply?.ok === false) return `The board says: ${reply.error.message}`
  switch (state) {
    case 'queued':
      return `The board is not connected; it is asked when it comes back, until ${iso(expiresAt)}.`
    case 'sent':
      return 'Sent; the board has not answered yet.'
    case 'done':
      return 'The board has answered.'
    case 'failed':
      return 'The board refused.'
    case 'expired':
      return sentAt > 0 ? 'The board did not answer in time.' : 'The board was not connected in time.'
  }
}

export function viewOf(command: Command): CommandView {
  const { id, device, name, state, at, expiresAt, endedAt, reply } = command
  return {
    id,
    device,
    name,
    state,
    reason: reasonOf(command),
    at: iso(at),
    expiresAt: iso(expiresAt),
    ...(endedAt !== undefined && { endedAt: iso(endedAt) }),
    ...(reply?.ok === true && { result: reply.result }),
  }
}

export function createCommandBook() {
  /** Oldest first. */
  const boards = new Map<string, readonly Command[]>()
  /** Those with an answer and its length, oldest first. */
  const answers = new Map<Command, number>()
  let chars = 0

  function forgetAnswer(command: Command): void {
    chars -= answers.get(command) ?? 0
    answers.delete(command)
    delete command.reply
  }

  const of = (device: string): readonly Command[] => boards.get(device) ?? []

  return {
    of,
    find: (device: string, id: string): Command | undefined => of(device).find((command) => command.id === id),
    open: (): Command[] => [...boards.values()].flat().filter(isOpen),
    add(command: Command): void {
      const ended = of(command.device).filter((other) => !isOpen(other))
      const spare = new Set(ended.slice(0, -KEPT_PER_BOARD))
      for (const old of spare) forgetAnswer(old)
      boards.set(command.device, [...of(command.device).filter((other) => !spare.has(other)), command])
    },
    /** `length` is that of the answer's JSON. */
    answer(command: Command, reply: ReplyMessage, length: number): void {
      command.reply = reply
      answers.set(command, length)
      chars += length
      for (const old of answers.keys()) {
        if (chars <= KEPT_CHARS) return
        forgetAnswer(old)
      }
    },
  }
}
