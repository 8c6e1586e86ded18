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
  /** Older than this: the time of the first line of the answer before. */
  before: z.iso.datetime().optional(),
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
    const { lines: limit, level, since, before } = argumentsOf(Args, args)
    const from = since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(since)
    const to = before === undefined ? Number.POSITIVE_INFINITY : Date.parse(before)
    const fitting = lines()
      .flatMap((text) => readLine(text) ?? [])
      .filter(({ level: its, time }) => its >= LEVELS[level] && Date.parse(time) >= from && Date.parse(time) < to)
    const taken: z.infer<typeof Line>[] = []
    let room = PAYLOAD_CHARS
    for (const line of fitting.toReversed()) {
      room -= Buffer.byteLength(JSON.stringify(line)) + 1
      if (room < 0 || taken.length >= limit) break
      taken.unshift(line)
    }
    const whole = wholeMoments(taken, fitting[fitting.length - taken.length - 1]?.time)
    return { lines: whole, leftOut: fitting.length - whole.length } satisfies LogsReply
  }

type Lines = LogsReply['lines']

/** Without the lines that share their millisecond with `next`, the newest that was left out: who asks for what is older gets them. */
function wholeMoments(taken: Lines, next: string | undefined): Lines {
  const whole = taken.filter(({ time }) => time !== next)
  return whole.length > 0 ? whole : taken
}
