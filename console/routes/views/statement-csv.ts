// A statement as CSV (RFC 4180) that spreadsheets take as text and numbers, and never as a formula.
import type { Statement } from '../../rewards/statement.ts'

export interface TokenUnit {
  readonly symbol: string
  readonly decimals: number
}

/** Base units as a decimal number of tokens, exactly. */
export function decimalOf(units: bigint, decimals: number): string {
  const digits = String(units < 0n ? -units : units).padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals)
  const rest = digits.slice(digits.length - decimals)
  return `${units < 0n ? '-' : ''}${whole}${rest === '' ? '' : `.${rest}`}`
}

const NUMBER = /^-?\d+(\.\d+)?$/
/** What a spreadsheet would take for the beginning of a formula (OWASP, CSV injection). */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/

export function csvCell(text: string): string {
  if (NUMBER.test(text)) return text
  const safe = FORMULA.test(text) ? `'${text}` : text
  return /[",\r\n']|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const row = (cells: readonly string[]): string => `${cells.map(csvCell).join(',')}\r\n`

export function statementCsv({ payee, from, to, opening, lines, closing }: Statement, token: TokenUnit): string {
  const money = (units: bigint): [string, string] => [String(units), decimalOf(units, token.decimals)]
  const time = (at: number): string => new Date(at).toISOString()
  return [
    row([
      'time',
      'payee',
      'what',
      'reference',
      'count',
      'amount_units',
      `amount_${token.symbol}`,
      'balance_units',
      `balance_${token.symbol}`,
    ]),
    row([time(from), payee, 'opening balance', '', '', '', '', ...money(opening)]),
    ...lines.map(({ at, what, ref, count, amount, balance }) =>
      row([time(at), payee, what, ref, String(count), ...money(amount), ...money(balance)]),
    ),
    row([time(to), payee, 'closing balance', '', '', '', '', ...money(closing)]),
  ].join('')
}
