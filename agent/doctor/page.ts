// The doctor's page, line by line as it is found out.
import { styleText } from 'node:util'
import type { Check } from './check.ts'

const MARKS = { ok: 'ok', warn: 'warn', fail: 'FAIL', skip: '-' } as const
const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red', skip: 'gray' } as const
const NAME_WIDTH = 18

/** Colours only where a person looks at a terminal. */
export function lineOf({ name, state, says, remedy }: Check, colours: boolean): string {
  const paint = (text: string): string => (colours ? styleText(COLOURS[state], text, { validateStream: false }) : text)
  const line = `  ${paint(MARKS[state].padEnd(5))} ${name.padEnd(NAME_WIDTH)} ${says}`
  return remedy === undefined ? line : `${line}\n${' '.repeat(8)}${' '.repeat(NAME_WIDTH)} → ${remedy}`
}

const count = (checks: readonly Check[], state: Check['state'], word: string): string[] => {
  const found = checks.filter((check) => check.state === state).length
  return found === 0 ? [] : [`${found} ${word}${found === 1 ? '' : 's'}`]
}

export function verdictOf(checks: readonly Check[]): string {
  const troubles = [...count(checks, 'fail', 'failure'), ...count(checks, 'warn', 'warning')]
  return troubles.length === 0 ? 'All is well.' : `${troubles.join(' and ')}: what to do stands after each arrow.`
}
