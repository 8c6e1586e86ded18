// Words must be readable in both themes (WCAG 2 AA: 4.5 to 1): the token sheet is read as it stands.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const sheet = readFileSync(new URL('../../console/ui/styles/tokens.css', import.meta.url), 'utf8')

function colour(name: string, theme: 'light' | 'dark'): string {
  const value = new RegExp(`--${name}: ([^;]+);`).exec(sheet)?.[1] ?? ''
  const alias = /^var\(--(.+)\)$/.exec(value)?.[1]
  if (alias) return colour(alias, theme)
  const [, light, dark] = /light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/.exec(value) ?? []
  const found = theme === 'light' ? light : dark
  if (!found) throw new Error(`no colour --${name}: ${value}`)
  return found
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((from) => {
    const part = Number.parseInt(hex.slice(from, from + 2), 16) / 255
    return part <= 0.040_45 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (high + 0.05) / (low + 0.05)
}

const PAIRS = [
  ...['text', 'muted', 'accent'].flatMap((ink) =>
    ['ground', 'surface', 'sunken'].map((paper) => [ink, paper] as const),
  ),
  ...['ok', 'busy', 'warn', 'bad', 'calm', 'accent'].map((ink) => [ink, `${ink}-soft`] as const),
  ...['ok', 'warn', 'bad'].map((ink) => [ink, 'surface'] as const),
  ['on-accent', 'accent'] as const,
  ['on-accent', 'accent-hover'] as const,
]

describe.each(['light', 'dark'] as const)('%s colours', (theme) => {
  it.each(PAIRS)('%s can be read on %s', (ink, paper) => {
    expect(contrast(colour(ink, theme), colour(paper, theme))).toBeGreaterThanOrEqual(4.5)
  })
})
