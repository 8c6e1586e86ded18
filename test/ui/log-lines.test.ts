import { describe, expect, it } from 'vitest'
import { detailsOf, levelOf, lineTime, matches, readLogs, withOlder } from '../../console/ui/log-lines.ts'

const line = { level: 40, time: '2026-11-22T21:04:05.123Z', msg: 'disconnected', url: 'mqtt://b', n: 3 }

describe('a line of a log', () => {
  it('shows its level in words and in a colour', () => {
    expect([10, 20, 30, 40, 50, 60].map((level) => levelOf(level).word)).toEqual([
      ...['trace', 'debug', 'info', 'warn', 'error', 'fatal'],
    ])
    expect([levelOf(30).ink, levelOf(40).ink, levelOf(50).ink]).toEqual(['calm', 'warn', 'bad'])
  })

  it('shows its details as one short text, of an error what it says', () => {
    expect(detailsOf(line)).toBe('url=mqtt://b n=3')
    expect(detailsOf({ ...line, err: { message: 'no space', stack: 'at …' } })).toBe('url=mqtt://b n=3 error=no space')
  })

  it('is found by what it says and by its details, from a level on', () => {
    expect([
      matches(line, 'DISC', 0),
      matches(line, 'mqtt://b', 40),
      matches(line, 'x', 0),
      matches(line, '', 50),
    ]).toEqual([...[true, true, false, false]])
  })

  it('has a time of this computer or of UTC', () => {
    expect(lineTime(line.time, true)).toBe('21:04:05')
    expect(lineTime(line.time, false)).toMatch(/^\d\d:04:05$/)
  })
})

describe('the answer of a board', () => {
  it('is read as lines, and what is none is left out', () => {
    expect(readLogs({ lines: [line, null, 7, { msg: 'x' }], leftOut: 2 })).toEqual({ lines: [line], leftOut: 2 })
    expect(readLogs({ lines: 'x' })).toBeUndefined()
    expect(readLogs(undefined)).toBeUndefined()
  })

  it('goes in front of what is newer', () => {
    const first = withOlder(undefined, { lines: [line], leftOut: 2 })
    const older = { ...line, msg: 'older' }
    expect(withOlder(first, { lines: [older], leftOut: 1 })).toEqual({ lines: [older, line], leftOut: 1 })
  })
})
