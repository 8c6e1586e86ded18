// The command `logs`: the last lines of this board's log, newest kept when there are more than one message carries.
import { z } from 'zod'
import { RING_LINES } from '../logs/ring.ts'
import { argumentsOf, type Handler } from './commands.ts'

/** AWS IoT Core carries 128 KiB; the envelope takes a little. */
const PAYLOAD_CHARS = 100 * 1024

const LEVELS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const

const Args = z.strictObject({
  lines: z.int().min(1).max(RING_LINES).default(RING_LINES),
  /** This level and above. */
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('trace'),
  since: z.iso.datetime().optional(),
})

const Line = z.looseObject({ level: z.int(), time: z.string(), msg: z.string().default('') })

export interface LogsReply {
  /** Oldest first, as the board's log has them. */
  readonly lines: readonly z.infer<typeof Line>[]
  /** Older lines that fitted the question and not into the message. */
  readonly leftOut: number
}

function readLine(text: string): z.infer<typeof Line> | undefined {
  return Line.safeParse(JSON.parse(text)).data
}

/** `lines` gives the log as JSON lines, oldest first. */
export const logsHandler =
  (lines: () => readonly string[]): Handler =>
  async (args) => {
    const { lines: limit, level, since } = argumentsOf(Args, args)
    const from = since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(since)
    const fitting = lines()
      .flatMap((text) => readLine(text) ?? [])
      .filter((line) => line.level >= LEVELS[level] && Date.parse(line.time) >= from)
    const taken: z.infer<typeof Line>[] = []
    let room = PAYLOAD_CHARS
    for (const line of fitting.toReversed()) {
      room -= Buffer.byteLength(JSON.stringify(line)) + 1
      if (room < 0 || taken.length >= limit) break
      taken.unshift(line)
    }
    return { lines: taken, leftOut: fitting.length - taken.length } satisfies LogsReply
  }
