// Moments as people say them. The clock is always an argument: the page shows ages by the console's clock, not its own.

const STEPS: readonly (readonly [limitS: number, unitS: number, unit: string])[] = [
  [60, 1, 's'],
  [3600, 60, 'min'],
  [86_400, 3600, 'h'],
  [Number.POSITIVE_INFINITY, 86_400, 'd'],
]

/** A length of time in its largest fitting unit: `12 s`, `4 min`, `3 h`, `2 d`. */
export function formatSpan(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const [, unitS, unit] = STEPS.find(([limitS]) => seconds < limitS) ?? [0, 86_400, 'd']
  return `${Math.floor(seconds / unitS)} ${unit}`
}

/** Two clocks are never closer than this: a moment slightly ahead is now, not the future. */
const NOW_MS = 1500
const SKEW_MS = 5000

/** `now`, `12 s ago`, `in 3 min`. */
export function formatAge(at: string, nowMs: number): string {
  const age = nowMs - Date.parse(at)
  if (age < -SKEW_MS) return `in ${formatSpan(-age)}`
  return age < NOW_MS ? 'now' : `${formatSpan(age)} ago`
}

/** By the console's clock, what a board said by its own, which is off by `skewMs`. */
export function byConsole(at: string, skewMs = 0): string {
  const moment = new Date(Date.parse(at) - skewMs)
  return Number.isNaN(moment.getTime()) ? at : moment.toISOString()
}

/** An answer older than this is drawn as old, never as live. */
export const STALE_MS = 15_000

export const isStale = (at: string, nowMs: number): boolean => nowMs - Date.parse(at) > STALE_MS

const two = (value: number): string => String(value).padStart(2, '0')

/** Local wall clock, `hh:mm:ss`. */
export function clockTime(atMs: number): string {
  const at = new Date(atMs)
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':')
}

/** Local date and time for a tooltip. */
export const fullTime = (at: string): string => new Date(at).toLocaleString()
