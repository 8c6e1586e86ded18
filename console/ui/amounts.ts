// Token amounts: decimal strings of integer base units in, text for people out. BigInt all the way, never a float.

export interface Token {
  readonly symbol: string
  readonly decimals: number
}

/** Digits after the point that are kept even when zero, so that columns line up. */
const LEAST_FRACTION = 2

const group = (digits: string): string => digits.replace(/\B(?=(\d{3})+$)/g, ',')

/** `formatUnits('1234500000', 6)` is `1,234.50`; nothing is ever rounded away. */
export function formatUnits(units: string, decimals: number): string {
  const value = BigInt(units)
  const digits = (value < 0n ? -value : value).toString().padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals)
  const fraction = digits
    .slice(digits.length - decimals)
    .replace(/0+$/, '')
    .padEnd(Math.min(LEAST_FRACTION, decimals), '0')
  return `${value < 0n ? '−' : ''}${group(whole)}${fraction === '' ? '' : `.${fraction}`}`
}

export const formatAmount = (units: string, token: Token): string =>
  `${formatUnits(units, token.decimals)} ${token.symbol}`

export const sumUnits = (all: readonly string[]): string =>
  all.reduce((total, units) => total + BigInt(units), 0n).toString()

export const compareUnits = (a: string, b: string): number => {
  const difference = BigInt(a) - BigInt(b)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** True for any amount that is not nothing. */
export const isSome = (units: string): boolean => BigInt(units) !== 0n
