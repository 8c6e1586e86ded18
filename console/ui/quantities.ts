// Numbers with their units, as a person reads them: rates, milliseconds, memory, digests.

/** A number and its unit stay on one line. */
const NBSP = '\u00a0'

const fixed = (value: number, digits: number): string =>
  value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })

/** Answers per second without the unit: `0`, `0.4`, `12.3`, `1,204`. */
export const formatRate = (perS: number): string => (perS === 0 ? '0' : fixed(perS, perS < 100 ? 1 : 0))

export const formatCount = (count: number): string => fixed(count, 0)

/** `0 ms`, `0.4 ms`, `18 ms`, `2.1 s`. */
export function formatMs(ms: number): string {
  if (ms >= 1000) return `${fixed(ms / 1000, 1)}${NBSP}s`
  return `${fixed(ms, ms > 0 && ms < 10 ? 1 : 0)}${NBSP}ms`
}

/** `87 MiB`, `3.8 GiB`. */
export const formatMiB = (miB: number): string =>
  miB < 1024 ? `${fixed(miB, 0)}${NBSP}MiB` : `${fixed(miB / 1024, 1)}${NBSP}GiB`

export const formatTemperature = (celsius: number): string => `${fixed(celsius, 0)}${NBSP}°C`

/** `12 mJ`, `0.42 J`, `3.1 J`. */
export function formatEnergy(j: number): string {
  if (j >= 0.1 || j === 0) return `${fixed(j, j === 0 ? 0 : j < 1 ? 2 : 1)}${NBSP}J`
  return `${fixed(j * 1000, j < 0.01 ? 1 : 0)}${NBSP}mJ`
}

export const formatWatts = (w: number): string => `${fixed(w, 1)}${NBSP}W`

/** A score 0..1 as whole percent; never 100 % unless it is exactly that. */
export const formatScore = (score: number): string =>
  `${score >= 1 ? 100 : Math.min(99, Math.max(0, Math.round(score * 100)))}${NBSP}%`

/** Enough of a digest, key or signature to compare by eye. */
export const shorten = (text: string, keep = 8): string =>
  text.length <= keep * 2 + 1 ? text : `${text.slice(0, keep)}…${text.slice(-4)}`

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`

/** `covered 1.00×`: cut, not rounded, so that 0.999 never reads as covered. */
export const formatCoverage = (ratio: number): string => `${fixed(Math.floor(ratio * 100 + 1e-9) / 100, 2)}×`

/** `37 KiB`, `4.3 MiB`: the size of a file. */
export const formatBytes = (bytes: number): string =>
  bytes < 1024 * 1024 ? `${fixed(Math.ceil(bytes / 1024), 0)}${NBSP}KiB` : `${fixed(bytes / 1024 / 1024, 1)}${NBSP}MiB`
