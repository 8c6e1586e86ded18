// An amount of base units as people read it: "1,234.5 BRMB". Text arithmetic: money is never a float.

export function inTokens(units: string, { symbol, decimals }: { symbol: string; decimals: number }): string {
  const negative = units.startsWith('-')
  const digits = (negative ? units.slice(1) : units).padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, ',')
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '')
  return `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`} ${symbol}`
}
