import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareUnits, formatUnits, isSome, sumUnits } from '../../console/ui/amounts.ts'
import {
  formatCoverage,
  formatEnergy,
  formatMiB,
  formatMs,
  formatRate,
  formatScore,
  plural,
  shorten,
} from '../../console/ui/quantities.ts'
import { byConsole, clockTime, formatAge, formatSpan, isStale } from '../../console/ui/times.ts'

describe('amounts', () => {
  it.each([
    ['0', 6, '0.00'],
    ['1', 6, '0.000001'],
    ['1234500000', 6, '1,234.50'],
    ['-2500', 6, '−0.0025'],
    ['7', 0, '7'],
    ['15', 1, '1.5'],
    ['9007199254740993000000', 6, '9,007,199,254,740,993.00'],
  ])('%s base units with %i decimals read %s', (units, decimals, text) => {
    expect(formatUnits(units, decimals)).toBe(text)
  })

  it('say every base unit: the text read back is the amount', () => {
    fc.assert(
      fc.property(fc.bigInt(), fc.integer({ min: 0, max: 12 }), (value, decimals) => {
        const [whole = '', fraction = ''] = formatUnits(String(value), decimals).replaceAll(',', '').split('.')
        const digits = `${whole.replace('−', '')}${fraction.padEnd(decimals, '0')}`
        expect(BigInt(digits) * (value < 0n ? -1n : 1n)).toBe(value)
      }),
    )
  })

  it('are summed and ordered beyond what a float holds', () => {
    expect(sumUnits(['9007199254740993', '1'])).toBe('9007199254740994')
    expect(compareUnits('9007199254740993', '9007199254740992')).toBe(1)
    expect(isSome('0')).toBe(false)
  })
})

/** Numbers and units are held together by a no-break space. */
const plain = (text: string): string => text.replaceAll('\u00a0', ' ')

describe('quantities', () => {
  it('carry the unit that fits', () => {
    expect([0, 0.42, 12.34, 1204].map(formatRate)).toEqual(['0', '0.4', '12.3', '1,204'])
    expect([0, 0.44, 18.4, 2130].map(formatMs).map(plain)).toEqual(['0 ms', '0.4 ms', '18 ms', '2.1 s'])
    expect([0, 0.0042, 0.042, 0.42, 3.14].map(formatEnergy).map(plain)).toEqual([
      '0 J',
      '4.2 mJ',
      '42 mJ',
      '0.42 J',
      '3.1 J',
    ])
    expect([87.2, 3891].map(formatMiB).map(plain)).toEqual(['87 MiB', '3.8 GiB'])
    expect([plural(1, 'board'), plural(2, 'board')]).toEqual(['1 board', '2 boards'])
  })

  it('never round up to certainty or to cover', () => {
    expect([0.004, 0.997, 1].map(formatScore).map(plain)).toEqual(['0 %', '99 %', '100 %'])
    expect([0.9999, 1, 12.5].map(formatCoverage)).toEqual(['0.99×', '1.00×', '12.50×'])
  })

  it('cut a digest so that both ends can be compared', () => {
    expect(shorten('0123456789abcdef0123456789abcdef', 6)).toBe('012345…cdef')
    expect(shorten('01J', 6)).toBe('01J')
  })
})

const NOW = Date.parse('2026-11-22T12:00:00Z')
const at = (agoMs: number): string => new Date(NOW - agoMs).toISOString()

describe('times', () => {
  it.each([
    [0, 'now'],
    [-900, 'now'],
    [12_400, '12 s ago'],
    [59_999, '59 s ago'],
    [60_000, '1 min ago'],
    [3 * 3_600_000, '3 h ago'],
    [50 * 3_600_000, '2 d ago'],
    [-180_000, 'in 3 min'],
  ])('%i ms old reads "%s"', (ago, text) => {
    expect(formatAge(at(ago), NOW)).toBe(text)
  })

  it('of a board whose clock is wrong are told by the console’s', () => {
    expect(byConsole('2025-11-22T12:00:00.000Z', -365 * 86_400_000)).toBe('2026-11-22T12:00:00.000Z')
    expect(byConsole('2026-11-22T12:00:00.000Z')).toBe('2026-11-22T12:00:00.000Z')
    expect(byConsole('2026-11-22T12:00:00.000Z', 1e300)).toBe('2026-11-22T12:00:00.000Z')
  })

  it('call an answer old after 15 s and not before', () => {
    expect([isStale(at(15_000), NOW), isStale(at(15_001), NOW)]).toEqual([false, true])
  })

  it('never show a negative span, and say the wall clock in full', () => {
    expect(formatSpan(-5)).toBe('0 s')
    expect(clockTime(new Date(2026, 10, 22, 7, 3, 9).getTime())).toBe('07:03:09')
  })
})
