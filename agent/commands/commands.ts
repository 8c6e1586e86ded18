// What a console asks of a board: `cmd/{name}/{id}` in, `res/{name}/{id}` out. A command is done once however often it comes,
// and not at all once it has expired; every one is answered.
import type { Logger } from 'pino'
import { z } from 'zod'
import { CommandMessage, type ReplyMessage } from '../../broker/protocol/messages.ts'
import { createMemory } from './memory.ts'

export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly code: 'bad-arguments' | 'failed'
  constructor(code: CommandError['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** Throws CommandError. */
export function argumentsOf<T>(schema: z.ZodType<T>, args: Readonly<Record<string, unknown>>): T {
  const parsed = schema.safeParse(args)
  if (!parsed.success) throw new CommandError('bad-arguments', z.prettifyError(parsed.error))
  return parsed.data
}

/** Rejects with CommandError, or with anything else: then the command has failed. */
export type Handler = (args: Readonly<Record<string, unknown>>) => Promise<unknown>

export interface Commands {
  /** One message on a command's topic. Never throws on foreign bytes. */
  receive(name: string, id: string, payload: Uint8Array, retain: boolean): void
}

interface Options {
  readonly handlers: Readonly<Record<string, Handler>>
  /** Publishes; what it rejects with is logged: the console asks again under the same id. */
  readonly reply: (name: string, id: string, payload: string) => Promise<void>
  /** The console's time as well as this board knows it, epoch milliseconds. */
  readonly now: () => number
  readonly log: Logger
}

/** Names and a few numbers; a larger one is not from our console. */
const PAYLOAD_BYTES = 16 * 1024
const RUNNING = 8

type Failure = Extract<ReplyMessage, { ok: false }>['error']

const refusal = (code: Failure['code'], message: string): string =>
  JSON.stringify({ ok: false, error: { code, message } })

const iso = (at: number): string => new Date(at).toISOString()

export function createCommands({ handlers, reply, now, log }: Options): Commands {
  const table = new Map(Object.entries(handlers))
  const memory = createMemory(now)
  let running = 0

  async function say(name: string, id: string, payload: string): Promise<void> {
    try {
      await reply(name, id, payload)
    } catch (error) {
      log.info({ name, id, err: error }, 'a reply was not sent: the console will ask again')
    }
  }

  async function run(name: string, handler: Handler, args: Readonly<Record<string, unknown>>): Promise<string> {
    if (running >= RUNNING) return refusal('failed', `${RUNNING} commands are running already; try again later`)
    running += 1
    try {
      return JSON.stringify({ ok: true, result: (await handler(args)) ?? null })
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      log.warn({ name, err: error }, 'a command failed')
      return refusal(error instanceof CommandError ? error.code : 'failed', message)
    } finally {
      running -= 1
    }
  }

  function read(payload: Uint8Array): CommandMessage | undefined {
    if (payload.byteLength > PAYLOAD_BYTES) return undefined
    try {
      return CommandMessage.safeParse(JSON.parse(new TextDecoder().decode(payload))).data
    } catch {
      return undefined
    }
  }

  function answer(name: string, payload: Uint8Array): { readonly expiresAt: number; readonly answer: Promise<string> } {
    const handler = table.get(name)
    const command = read(payload)
    const at = now()
    const refused = (code: Failure['code'], message: string) => ({
      expiresAt: command?.expiresAt ?? at,
      answer: Promise.resolve(refusal(code, message)),
    })
    if (handler === undefined)
      return refused('unknown-command', `this board knows ${[...table.keys()].join(', ')}, and not ${name}`)
    if (command === undefined) return refused('bad-arguments', 'the payload is no command {expiresAt, args?}')
    const { expiresAt, args = {} } = command
    if (expiresAt <= at)
      return refused('expired', `it was to be done before ${iso(expiresAt)}, and this board's clock says ${iso(at)}`)
    return { expiresAt, answer: run(name, handler, args) }
  }

  return {
    receive(name, id, payload, retain) {
      // A retained command would come again at every connection; nobody should publish one.
      if (retain) return log.warn({ name, id }, 'a retained command was ignored')
      const known = memory.answerTo(name, id)
      if (known === undefined) log.info({ name, id }, 'a command came')
      const { promise } = known ?? memory.remember(name, id, answer(name, payload))
      void promise.then((text) => say(name, id, text))
    },
  }
}
