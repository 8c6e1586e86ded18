// The last log lines, kept in memory: what an owner can ask for when the board is far away.

export interface LogRing {
  add(line: string): void
  /** Oldest first, each one JSON object. */
  lines(): readonly string[]
}

/** The promise to owners. */
export const RING_LINES = 500
/** A line longer than this is kept without its details: a small board's memory must not fill with stacks. */
const LINE_CHARS = 2_048

const HEAD = ['level', 'time', 'msg'] as const

function shortened(line: string): string {
  const whole: Readonly<Record<string, unknown>> = JSON.parse(line)
  const head = Object.fromEntries(HEAD.flatMap((key) => (key in whole ? [[key, whole[key]]] : [])))
  const text = JSON.stringify({ ...head, msg: String(head['msg'] ?? '').slice(0, LINE_CHARS / 2), cut: line.length })
  return `${text}\n`
}

export function createRing(size = RING_LINES): LogRing {
  const kept: string[] = []
  let next = 0
  return {
    add(line) {
      kept[next] = line.length > LINE_CHARS ? shortened(line) : line
      next = (next + 1) % size
    },
    lines: () => (kept.length < size ? [...kept] : [...kept.slice(next), ...kept.slice(0, next)]),
  }
}
