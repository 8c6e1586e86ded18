// From the rounds of a run to one row per path: medians, and ratios to the bare loop of the same model.

export interface ProcessFigures {
  readonly cpuMsPerFrame: number
  readonly rssMiB: number
}

export interface Measured {
  readonly framesPerS: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly processes: Readonly<Record<string, ProcessFigures>>
}

/** `cpuMsPerFrame` and `rssMiB` are the board's (agent and inference host together); `processes` has each. */
export interface Row extends Measured {
  readonly model: string
  readonly path: 'bare' | 'direct' | 'pool'
  readonly inflight: number
  readonly cpuMsPerFrame: number
  readonly rssMiB: number
}

export const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

const isBoard = (name: string): boolean => name !== 'console'
const round = (value: number): number => Math.round(value * 100) / 100

export function summarise(row: Pick<Row, 'model' | 'path' | 'inflight'>, rounds: readonly Measured[]): Row {
  const of = (pick: (round: Measured) => number): number => round(median(rounds.map(pick)))
  const processes = Object.fromEntries(
    Object.keys(rounds[0]?.processes ?? {}).map((name) => [
      name,
      {
        cpuMsPerFrame: of(({ processes: p }) => p[name]?.cpuMsPerFrame ?? 0),
        rssMiB: of(({ processes: p }) => p[name]?.rssMiB ?? 0),
      },
    ]),
  )
  const board = Object.entries(processes).filter(([name]) => isBoard(name))
  return {
    ...row,
    framesPerS: of(({ framesPerS }) => framesPerS),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    cpuMsPerFrame: round(board.reduce((sum, [, p]) => sum + p.cpuMsPerFrame, 0)),
    rssMiB: round(board.reduce((sum, [, p]) => sum + p.rssMiB, 0)),
    processes,
  }
}

const HEAD = [
  'model',
  'path',
  'in flight',
  'frames/s',
  '× bare',
  'p50 ms',
  'p50 − bare',
  'p99 ms',
  'CPU-ms/frame',
  'RSS MiB',
]

/** The rows as a Markdown table, ready for the README. */
export function table(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const bare = rows.find(({ model, path }) => model === row.model && path === 'bare') ?? row
    const each = Object.entries(row.processes)
    const cells = [
      row.model,
      row.path,
      String(row.inflight),
      row.framesPerS.toFixed(1),
      (row.framesPerS / bare.framesPerS).toFixed(2),
      row.p50Ms.toFixed(1),
      row === bare ? '' : (row.p50Ms - bare.p50Ms).toFixed(1),
      row.p99Ms.toFixed(1),
      each.map(([name, p]) => `${name} ${p.cpuMsPerFrame.toFixed(1)}`).join(', '),
      each.map(([name, p]) => `${name} ${p.rssMiB.toFixed(0)}`).join(', '),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return [`| ${HEAD.join(' | ')} |`, `|${' --- |'.repeat(HEAD.length)}`, ...lines].join('\n')
}
