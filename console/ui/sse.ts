// Server-sent events out of a byte stream's text, by the WHATWG rules; EventSource itself cannot send a bearer header.

export interface ServerEvent {
  readonly event: string
  readonly data: string
}

/** Text in as it arrives, cut anywhere; whole events out through `emit`. */
export function createSseParser(emit: (event: ServerEvent) => void): { push(text: string): void } {
  let rest = ''
  let first = true
  let event = ''
  let data: string[] = []

  const dispatch = () => {
    if (data.length > 0) emit({ event: event || 'message', data: data.join('\n') })
    event = ''
    data = []
  }

  const takeLine = (line: string) => {
    if (line === '') return dispatch()
    const colon = line.indexOf(':')
    if (colon === 0) return
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'event') event = value
    if (field === 'data') data.push(value)
  }

  return {
    push(text) {
      rest += first ? text.replace(/^\uFEFF/, '') : text
      first = false
      // A lone CR at the very end may be half of a CRLF: it waits for the next piece.
      for (let end = rest.search(/\r\n|\n|\r(?=[\s\S])/); end !== -1; end = rest.search(/\r\n|\n|\r(?=[\s\S])/)) {
        takeLine(rest.slice(0, end))
        rest = rest.slice(rest.startsWith('\r\n', end) ? end + 2 : end + 1)
      }
    },
  }
}
