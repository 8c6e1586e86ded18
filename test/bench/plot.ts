// `node test/bench/plot.ts SOAK.csv OUT.svg`: the memory of a soak as a picture.
import { readFile, writeFile } from 'node:fs/promises'

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [720, 300, 44, 150, 14, 34] as const

interface Line {
  readonly name: string
  readonly colour: string
  readonly points: readonly (readonly [minute: number, mib: number])[]
}

/** A round step that gives about `count` lines up to `most`. */
function stepOf(most: number, count: number): number {
  const raw = most / count
  const power = 10 ** Math.floor(Math.log10(raw))
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10)
}

function svgOf(lines: readonly Line[]): string {
  const all = lines.flatMap(({ points }) => points)
  const minutes = Math.max(...all.map(([minute]) => minute))
  const most = Math.max(...all.map(([, mib]) => mib)) * 1.1
  const x = (minute: number): string => (LEFT + (minute / minutes) * (WIDTH - LEFT - RIGHT)).toFixed(1)
  const y = (mib: number): string => (HEIGHT - BOTTOM - (mib / most) * (HEIGHT - TOP - BOTTOM)).toFixed(1)
  const [xStep, yStep] = [stepOf(minutes, 6), stepOf(most, 5)]
  const ticks = (end: number, step: number): number[] =>
    Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => i * step)
  const grid = ticks(most, yStep).map(
    (mib) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(mib)}" y2="${y(mib)}" stroke="#d7dbe0"/>` +
      `<text x="${LEFT - 6}" y="${y(mib)}" dy="4" text-anchor="end">${mib}</text>`,
  )
  const hours = ticks(minutes, xStep).map(
    (minute) => `<text x="${x(minute)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${minute}</text>`,
  )
  const drawn = lines.map(({ name, colour, points }) => {
    const last = points.at(-1) ?? [0, 0]
    return (
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.map(([m, v]) => `${x(m)},${y(v)}`).join(' ')}"/>` +
      `<text x="${WIDTH - RIGHT + 8}" y="${y(last[1])}" dy="4" fill="${colour}">${name}: ${last[1].toFixed(0)}</text>`
    )
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#444">
<title>Memory in MiB over the minutes of a soak</title>
<rect width="100%" height="100%" fill="#fff"/>
${[...grid, ...hours, ...drawn].join('\n')}
<text x="${(WIDTH - RIGHT + LEFT) / 2}" y="${HEIGHT - 4}" text-anchor="middle">minutes</text>
<text x="4" y="${TOP - 2}">MiB</text>
</svg>
`
}

const [input, output] = process.argv.slice(2)
if (input === undefined || output === undefined) throw new Error('usage: node test/bench/plot.ts SOAK.csv OUT.svg')
const [head = '', ...rows] = (await readFile(input, 'utf8')).trim().split('\n')
const columns = head.split(',')
const line = (column: string, name: string, colour: string): Line => ({
  name,
  colour,
  points: rows.map((row) => {
    const cells = row.split(',').map(Number)
    return [(cells[0] ?? 0) / 60, cells[columns.indexOf(column)] ?? 0] as const
  }),
})
await writeFile(
  output,
  svgOf([
    line('agent_mib', 'agent', '#2b6cb0'),
    line('hosts_mib', 'inference', '#b7791f'),
    line('console_mib', 'console, broker', '#2f855a'),
  ]),
)
