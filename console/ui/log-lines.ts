// A board's log lines as the page shows them: what they say, how bad it is, and the rest as one short text.

export interface LogLine {
  readonly level: number
  /** ISO 8601 UTC. */
  readonly time: string
  readonly msg: string
  readonly [detail: string]: unknown
}

const LEVELS = [
  { from: 60, word: 'fatal', ink: 'bad' },
  { from: 50, word: 'error', ink: 'bad' },
  { from: 40, word: 'warn', ink: 'warn' },
  { from: 30, word: 'info', ink: 'calm' },
  { from: 20, word: 'debug', ink: 'calm' },
] as const

export const levelOf = (level: number): { word: string; ink: string } =>
  LEVELS.find(({ from }) => level >= from) ?? { word: 'trace', ink: 'calm' }

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** Everything but time, level and message: `url=mqtt://… code=disconnected`; of an error what it says. */
export function detailsOf(line: LogLine): string {
  const { level: _, time: __, msg: ___, err, ...details } = line
  const fault = typeof err === 'object' && err !== null && 'message' in err ? { error: err.message } : {}
  return Object.entries({ ...details, ...fault })
    .map(([key, value]) => `${key}=${textOf(value)}`)
    .join(' ')
}

export interface Asked {
  /** Oldest first. */
  readonly lines: readonly LogLine[]
  /** Older ones that the board has. */
  readonly leftOut: number
}

/** What is on the page, with the older lines that came now in front. */
export const withOlder = (known: Asked | undefined, older: Asked): Asked => ({
  lines: [...older.lines, ...(known?.lines ?? [])],
  leftOut: older.leftOut,
})

/** What the command `logs` answers; undefined when it is something else. */
export function readLogs(result: unknown): Asked | undefined {
  if (typeof result !== 'object' || result === null || !('lines' in result) || !Array.isArray(result.lines))
    return undefined
  const lines = result.lines.filter(
    (line): line is LogLine => typeof line?.time === 'string' && typeof line?.level === 'number',
  )
  return { lines, leftOut: 'leftOut' in result && typeof result.leftOut === 'number' ? result.leftOut : 0 }
}

export const matches = (line: LogLine, text: string, least: number): boolean =>
  line.level >= least && (text === '' || `${line.msg} ${detailsOf(line)}`.toLowerCase().includes(text.toLowerCase()))

const two = (value: number): string => String(value).padStart(2, '0')

/** `23:04:05` on this computer, or of UTC: a board's owner and its log may be hours apart. */
export function lineTime(time: string, utc: boolean): string {
  const at = new Date(time)
  const parts = utc
    ? [at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()]
    : [at.getHours(), at.getMinutes(), at.getSeconds()]
  return parts.map(two).join(':')
}
