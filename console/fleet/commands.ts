// Commands to boards: sent while the board is connected, kept while it is not, repeated under the same id until it answers,
// ended by their expiry.
import type { Logger } from 'pino'
import type { CommandMessage, ReplyMessage } from '../../broker/protocol/messages.ts'
import type { CommandView } from '../routes/commands.ts'
import { type Command, createCommandBook, isOpen, viewOf } from './command-book.ts'

export interface CommandOptions {
  readonly send: (device: string, name: string, id: string, payload: string) => Promise<void>
  /** Whether the board can hear now. */
  readonly isOnline: (device: string) => boolean
  readonly now: () => number
  readonly newId: () => string
  readonly log: Logger
}

interface Asked {
  readonly args?: CommandMessage['args'] | undefined
  readonly expiresInS: number
}

/** A lost command, or a lost answer, is noticed by nobody else. */
const RESEND_MS = 10_000
const OPEN_PER_BOARD = 16

/** Resolves when told, after `ms`, or when the one who waits has gone. */
function createWaiters() {
  const waiting = new Map<Command, Set<() => void>>()
  return {
    async wait(command: Command, ms: number, signal: AbortSignal): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>()
      const wakes = waiting.get(command) ?? new Set()
      waiting.set(command, wakes.add(resolve))
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', () => resolve(), { once: true })
      await promise
      clearTimeout(timer)
      wakes.delete(resolve)
      if (wakes.size === 0) waiting.delete(command)
    },
    wake(command: Command): void {
      for (const resolve of waiting.get(command) ?? []) resolve()
    },
  }
}

export function createFleetCommands({ send, isOnline, now, newId, log }: CommandOptions) {
  const book = createCommandBook()
  const waiters = createWaiters()

  function end(command: Command, state: Command['state']): void {
    command.state = state
    command.endedAt = now()
    waiters.wake(command)
  }

  async function give(command: Command, at: number): Promise<void> {
    const { device, name, id, payload } = command
    command.state = 'sent'
    command.sentAt = at
    try {
      await send(device, name, id, payload)
    } catch (error) {
      // The broker is away: a later turn sends it again.
      log.debug({ device, name, err: error }, 'a command was not sent')
    }
  }

  function look(command: Command, at: number): void {
    const isDue = command.state === 'queued' || at - command.sentAt >= RESEND_MS
    if (command.expiresAt <= at) end(command, 'expired')
    else if (isDue && isOnline(command.device)) void give(command, at)
  }

  return {
    /** Undefined when this board has too many open already. */
    order(device: string, name: string, { args, expiresInS }: Asked): CommandView | undefined {
      if (book.of(device).filter(isOpen).length >= OPEN_PER_BOARD) return undefined
      const at = now()
      const expiresAt = at + expiresInS * 1000
      const payload = JSON.stringify({ expiresAt, ...(args && { args }) } satisfies CommandMessage)
      const command: Command = { id: newId(), device, name, payload, at, expiresAt, state: 'queued', sentAt: 0 }
      book.add(command)
      look(command, at)
      return viewOf(command)
    },

    /** A board's answer, `length` characters of JSON. One that nobody waits for any more is passed over. */
    replied(device: string, id: string, reply: ReplyMessage, length: number): void {
      const command = book.find(device, id)
      if (command === undefined || !isOpen(command)) return
      book.answer(command, reply, length)
      end(command, reply.ok ? 'done' : reply.error.code === 'expired' ? 'expired' : 'failed')
    },

    async waitFor(device: string, id: string, waitMs: number, signal: AbortSignal): Promise<CommandView | undefined> {
      const command = book.find(device, id)
      if (command && isOpen(command) && waitMs > 0 && !signal.aborted) await waiters.wait(command, waitMs, signal)
      return command && viewOf(command)
    },

    get(device: string, id: string): CommandView | undefined {
      const command = book.find(device, id)
      return command && viewOf(command)
    },

    /** Newest first, without what was answered. */
    list: (device: string): CommandView[] =>
      book
        .of(device)
        .map((command) => {
          const { result: _, ...view } = viewOf(command)
          return view
        })
        .reverse(),

    /** Once a second: sends what a board has come back for, repeats what it has not answered, ends what has expired. */
    async turn(): Promise<void> {
      const at = now()
      for (const command of book.open()) look(command, at)
    },
  }
}
export type FleetCommands = ReturnType<typeof createFleetCommands>
