// One line of the doctor's page: what was looked at, how it is, and what to do where it is not well.

export interface Check {
  readonly name: string
  /** `skip`: not looked at, and `says` tells why. */
  readonly state: 'ok' | 'warn' | 'fail' | 'skip'
  readonly says: string
  /** What a person can do about it. */
  readonly remedy?: string
}

export const ok = (name: string, says: string): Check => ({ name, state: 'ok', says })
export const skip = (name: string, says: string): Check => ({ name, state: 'skip', says })
export const warn = (name: string, says: string, remedy: string): Check => ({ name, state: 'warn', says, remedy })
export const fail = (name: string, says: string, remedy: string): Check => ({ name, state: 'fail', says, remedy })

const MINUTE_S = 60
const UNITS = [
  [86_400, 'day'],
  [3_600, 'hour'],
  [MINUTE_S, 'minute'],
  [1, 'second'],
] as const

/** `3 days`, `1 minute`: the largest unit that fits. */
export function spanOf(ms: number): string {
  const seconds = Math.max(0, Math.round(Math.abs(ms) / 1000))
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, 'second']
  const count = Math.floor(seconds / size)
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

export const mebibytes = (miB: number): string => (miB < 1024 ? `${miB} MiB` : `${(miB / 1024).toFixed(1)} GiB`)
