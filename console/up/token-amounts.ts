// Amounts as people type and read them: tokens with a decimal point, never floating.
import type { Rewards } from '../routes/shapes.ts'
import type { ConsoleApi } from './console-api.ts'

export type TokenUnit = Pick<Rewards['token'], 'symbol' | 'decimals'>

export const tokenUnit = async (api: ConsoleApi): Promise<TokenUnit> =>
  (await api.ask<Rewards>('/api/rewards')).body.token

/** `12345678` of 6 decimals as `12.345678 BRMB`. */
export function tokens(units: string, { symbol, decimals }: TokenUnit): string {
  const digits = units.padStart(decimals + 1, '0')
  const part = decimals === 0 ? '' : digits.slice(-decimals).replace(/0+$/, '')
  const whole = decimals === 0 ? digits : digits.slice(0, -decimals)
  return `${whole}${part === '' ? '' : `.${part}`} ${symbol}`
}

/** Base units of an amount above zero; undefined for what is none, or finer than the token is. */
export function unitsOf(text: string, { decimals }: TokenUnit): bigint | undefined {
  const [, whole, part = ''] = /^(\d{1,19})(?:\.(\d+))?$/.exec(text) ?? []
  if (whole === undefined || part.length > decimals) return undefined
  const units = BigInt(whole + part.padEnd(decimals, '0'))
  return units > 0n ? units : undefined
}
