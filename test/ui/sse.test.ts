import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createSseParser, type ServerEvent } from '../../console/ui/sse.ts'

function parse(pieces: readonly string[]): ServerEvent[] {
  const events: ServerEvent[] = []
  const parser = createSseParser((event) => events.push(event))
  for (const piece of pieces) parser.push(piece)
  return events
}

/** The pieces of `text` cut before each of `places`. */
const cut = (text: string, places: readonly number[]): string[] => {
  const ends = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b)
  return [...ends, text.length].map((end, n) => text.slice(n === 0 ? 0 : ends[n - 1], end))
}

const STREAM =
  '\uFEFFretry: 2000\r\n\r\n: still here\n\nevent: task\ndata: {"id":1}\n\ndata:first\rdata: second\r\revent: overview\r\nid: 7\r\ndata\r\ndata:  x\r\n\r\n'

describe('server-sent events', () => {
  it('are named, joined over their data lines, and free of comments and retry hints', () => {
    expect(parse([STREAM])).toEqual([
      { event: 'task', data: '{"id":1}' },
      { event: 'message', data: 'first\nsecond' },
      { event: 'overview', data: '\n x' },
    ])
  })

  it('come out the same wherever the network cuts the stream', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 500 }), { maxLength: 12 }), (places) => {
        expect(parse(cut(STREAM, places))).toEqual(parse([STREAM]))
      }),
    )
  })

  it('are not told before their blank line has come', () => {
    expect(parse(['event: task\ndata: 1\n'])).toEqual([])
  })
})
