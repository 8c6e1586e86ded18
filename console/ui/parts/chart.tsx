// A line over time, drawn by uPlot: small and bare as a sparkline, or with axes. The value under the pointer is said above it.
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { clockTime } from '../times.ts'
import { theme } from './theme.tsx'

export interface Point {
  readonly at: string
  readonly value: number | undefined
}

export interface ChartProps {
  readonly title: string
  readonly points: readonly Point[]
  readonly format: (value: number) => string
  readonly bare?: boolean
  /** The scale begins at zero; without it at the least value, for what never comes near zero. */
  readonly fromZero?: boolean
  /** Counts: no half steps on the scale. */
  readonly whole?: boolean
}

/** A bare line fills its place instead. */
const HEIGHT = 130
const AXIS_FONT = '11px system-ui, sans-serif'

const toData = (points: readonly Point[]): uPlot.AlignedData => [
  points.map(({ at }) => Date.parse(at) / 1000),
  points.map(({ value }) => value ?? null),
]

/** The style sheet's colours, read at each drawing: a canvas cannot take them from it. */
const colour = (name: string) => (plot: uPlot) => getComputedStyle(plot.root).getPropertyValue(name)

const axis = (extra: uPlot.Axis): uPlot.Axis => ({
  stroke: colour('--chart-text'),
  grid: { stroke: colour('--chart-grid'), width: 1 },
  ticks: { show: false },
  font: AXIS_FONT,
  ...extra,
})

const sizeOf = (host: HTMLElement, { bare }: ChartProps): { width: number; height: number } => ({
  width: host.clientWidth,
  height: bare ? host.clientHeight : HEIGHT,
})

/** Room above the line; a flat line of zeros lies on the floor, not in the middle. */
function rangeOf(min: number | null, max: number | null, fromZero: boolean): [number, number] {
  const top = max === null || max <= 0 ? 1 : max * 1.15
  return [fromZero || min === null ? 0 : min * 0.85, top]
}

const WHOLE_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10_000]

/** Seconds are said only where minutes would repeat themselves. */
function tickTimes(ticks: readonly number[]): string[] {
  const letters = (ticks[1] ?? 0) - (ticks[0] ?? 0) < 60 ? 8 : 5
  return ticks.map((seconds) => clockTime(seconds * 1000).slice(0, letters))
}

function options(host: HTMLElement, props: ChartProps, onPoint: (index: number | undefined) => void): uPlot.Options {
  const { bare, format, fromZero, whole } = props
  const xAxis = axis({ size: 24, space: 80, values: (_, ticks) => tickTimes(ticks) })
  const yAxis = axis({
    size: 62,
    space: 32,
    values: (_, ticks) => ticks.map(format),
    ...(whole && { incrs: WHOLE_STEPS }),
  })
  return {
    ...sizeOf(host, props),
    padding: bare ? [4, 0, 0, 0] : [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { y: { range: (_, min, max) => rangeOf(min, max, fromZero === true) } },
    axes: bare ? [{ show: false }, { show: false }] : [xAxis, yAxis],
    series: [
      {},
      {
        stroke: colour('--chart-line'),
        fill: colour('--chart-fill'),
        width: 1.5,
        points: { show: false },
      },
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? undefined)] },
  }
}

export function Chart(props: ChartProps) {
  const { title, points, format, bare } = props
  const host = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const pointed = useSignal<number | undefined>(undefined)

  useEffect(() => {
    const element = host.current
    if (!element) return
    const onPoint = (index: number | undefined) => {
      pointed.value = index
    }
    const made = new uPlot(options(element, props, onPoint), toData(points), element)
    plot.current = made
    const resized = new ResizeObserver(() => made.setSize(sizeOf(element, props)))
    resized.observe(element)
    return () => {
      resized.disconnect()
      made.destroy()
    }
    // The plot is made once; new data goes in below.
  }, [])

  useEffect(() => plot.current?.setData(toData(points)), [points])
  useEffect(() => plot.current?.redraw(false), [theme.value])

  const said = points[pointed.value ?? points.length - 1]
  const value = said?.value === undefined ? 'no value yet' : format(said.value)
  return (
    <figure class={`chart${bare ? ' chart-bare' : ''}`}>
      {!bare && (
        <figcaption>
          {title}
          <span class="chart-value">
            {value}
            {pointed.value !== undefined && said && (
              <small class="chart-at"> at {clockTime(Date.parse(said.at))}</small>
            )}
          </span>
        </figcaption>
      )}
      <div ref={host} class="chart-plot" role="img" aria-label={`${title}: ${value}, ${points.length} points`} />
    </figure>
  )
}
