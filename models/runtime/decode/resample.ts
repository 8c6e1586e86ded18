// Bilinear resize and normalisation in one pass, in our own arithmetic so that every CPU makes the same bytes of a picture.
import type { ImageInput } from '../../manifest.ts'
import type { Placement } from './placement.ts'
import type { Raster } from './raster.ts'

export type Pixels = Float32Array | Uint8Array

/** Sampling points along one axis: out[i] = in[low] + (in[high] - in[low]) * weight, pixel centres at one half. */
interface Axis {
  readonly low: Int32Array
  readonly high: Int32Array
  readonly weight: Float64Array
  /** How many source pixels are averaged into one before sampling; without it a large frame is mostly skipped. */
  readonly block: number
  /** Blocks along the axis; the last may hold fewer pixels. */
  readonly blocks: number
}

function axisOf(sourceLength: number, targetLength: number): Axis {
  const block = Math.max(1, Math.floor(sourceLength / targetLength))
  const blocks = Math.ceil(sourceLength / block)
  const step = sourceLength / block / targetLength
  const axis = {
    low: new Int32Array(targetLength),
    high: new Int32Array(targetLength),
    weight: new Float64Array(targetLength),
    block,
    blocks,
  }
  for (let i = 0; i < targetLength; i++) {
    const at = Math.min(blocks - 1, Math.max(0, (i + 0.5) * step - 0.5))
    const low = Math.floor(at)
    axis.low[i] = low
    axis.high[i] = Math.min(blocks - 1, low + 1)
    axis.weight[i] = at - low
  }
  return axis
}

/** Row `index` of blocks: the mean of each block's pixels, `channels` values per block. */
type BlockRow = (index: number, out: Float32Array) => void

function createBlockRow(raster: Raster, { source }: Placement, across: Axis, down: Axis): BlockRow {
  const { data, width, channels } = raster
  const rowAt = (y: number): Uint8Array => {
    const from = ((source.y + y) * width + source.x) * channels
    return data.subarray(from, from + source.width * channels)
  }
  const isPlain = across.block === 1 && down.block === 1
  const isQuads = across.block === 2 && down.block <= 2 && channels === 3 && source.width % 2 === 0
  return (index, out) => {
    const first = index * down.block
    const rows = Math.min(down.block, source.height - first)
    if (isPlain) return out.set(rowAt(first))
    if (isQuads) return averageQuads(rowAt(first), rowAt(first + rows - 1), out)
    out.fill(0)
    for (let r = 0; r < rows; r++) addRow(rowAt(first + r), channels, across, 1 / rows, out)
  }
}

/** The usual camera frame, two to three times as wide as the model's input: worth a loop of its own. One row may be both. */
function averageQuads(upper: Uint8Array, lower: Uint8Array, out: Float32Array): void {
  for (let o = 0, i = 0; o < out.length; o += 3, i += 6) {
    const r = (upper[i] as number) + (upper[i + 3] as number) + (lower[i] as number) + (lower[i + 3] as number)
    const g = (upper[i + 1] as number) + (upper[i + 4] as number) + (lower[i + 1] as number) + (lower[i + 4] as number)
    const b = (upper[i + 2] as number) + (upper[i + 5] as number) + (lower[i + 2] as number) + (lower[i + 5] as number)
    out[o] = r * 0.25
    out[o + 1] = g * 0.25
    out[o + 2] = b * 0.25
  }
}

/** Adds one source row, averaged over blocks of columns and times `share`, to `out`. */
function addRow(row: Uint8Array, channels: number, { block, blocks }: Axis, share: number, out: Float32Array): void {
  const wholeBlocks = Math.floor(row.length / channels / block)
  const length = wholeBlocks * channels
  if (channels === 3) addColorBlocks(row, block, share / block, length, out)
  else addGrayBlocks(row, block, share / block, length, out)
  if (wholeBlocks === blocks) return
  const rest = row.length / channels - wholeBlocks * block
  for (let c = 0; c < channels; c++) {
    let sum = 0
    for (let n = 0; n < rest; n++) sum += row[(wholeBlocks * block + n) * channels + c] as number
    out[length + c] = (out[length + c] as number) + (sum * share) / rest
  }
}

function addColorBlocks(row: Uint8Array, block: number, share: number, length: number, out: Float32Array): void {
  for (let o = 0, i = 0; o < length; o += 3) {
    let r = 0
    let g = 0
    let b = 0
    const end = i + 3 * block
    for (; i < end; i += 3) {
      r += row[i] as number
      g += row[i + 1] as number
      b += row[i + 2] as number
    }
    out[o] = (out[o] as number) + r * share
    out[o + 1] = (out[o + 1] as number) + g * share
    out[o + 2] = (out[o + 2] as number) + b * share
  }
}

function addGrayBlocks(row: Uint8Array, block: number, share: number, length: number, out: Float32Array): void {
  for (let o = 0, i = 0; o < length; o++) {
    let sum = 0
    const end = i + block
    for (; i < end; i++) sum += row[i] as number
    out[o] = (out[o] as number) + sum * share
  }
}

/** What each pixel value 0..255 becomes in the tensor, per tensor channel. */
function tablesOf({ dtype, mean, std }: ImageInput, channels: number): Pixels[] {
  return Array.from({ length: channels }, (_, c) => {
    if (dtype === 'uint8') return Uint8Array.from({ length: 256 }, (_, v) => v)
    return Float32Array.from({ length: 256 }, (_, v) => (v - (mean?.[c] ?? 0)) / (std?.[c] ?? 1))
  })
}

/** One row of the tensor, beginning at element `from`, out of the two rows of blocks that enclose it. */
type SampleRow = (
  upper: Float32Array,
  lower: Float32Array,
  down: number,
  across: Axis,
  from: number,
  out: Pixels,
) => void

const sampleGray =
  (table: Pixels): SampleRow =>
  (upper, lower, down, { low, high, weight }, from, out) => {
    for (let x = 0, o = from; x < low.length; x++, o++) {
      const i = low[x] as number
      const j = high[x] as number
      const w = weight[x] as number
      const a = (upper[i] as number) + ((upper[j] as number) - (upper[i] as number)) * w
      const b = (lower[i] as number) + ((lower[j] as number) - (lower[i] as number)) * w
      out[o] = table[(a + (b - a) * down + 0.5) | 0] as number
    }
  }

/** Written out per channel: a loop over three channels takes twice as long. `places` says where R, G and B go. */
function sampleColor(tables: readonly Pixels[], stride: number, places: readonly [number, number, number]): SampleRow {
  const [placeR, placeG, placeB] = places
  const [tableR, tableG, tableB] = tables as [Pixels, Pixels, Pixels]
  return (upper, lower, down, { low, high, weight }, from, out) => {
    for (let x = 0, o = from; x < low.length; x++, o += stride) {
      const i = 3 * (low[x] as number)
      const j = 3 * (high[x] as number)
      const w = weight[x] as number
      const r = (upper[i] as number) + ((upper[j] as number) - (upper[i] as number)) * w
      const g = (upper[i + 1] as number) + ((upper[j + 1] as number) - (upper[i + 1] as number)) * w
      const b = (upper[i + 2] as number) + ((upper[j + 2] as number) - (upper[i + 2] as number)) * w
      const r2 = (lower[i] as number) + ((lower[j] as number) - (lower[i] as number)) * w
      const g2 = (lower[i + 1] as number) + ((lower[j + 1] as number) - (lower[i + 1] as number)) * w
      const b2 = (lower[i + 2] as number) + ((lower[j + 2] as number) - (lower[i + 2] as number)) * w
      out[o + placeR] = tableR[(r + (r2 - r) * down + 0.5) | 0] as number
      out[o + placeG] = tableG[(g + (g2 - g) * down + 0.5) | 0] as number
      out[o + placeB] = tableB[(b + (b2 - b) * down + 0.5) | 0] as number
    }
  }
}

function sampleRowOf(input: ImageInput, tables: readonly Pixels[], plane: number): SampleRow {
  if (input.color === 'gray') return sampleGray(tables[0] as Pixels)
  const step = input.layout === 'NHWC' ? 1 : plane
  const stride = input.layout === 'NHWC' ? 3 : 1
  if (input.color === 'rgb') return sampleColor(tables, stride, [0, step, 2 * step])
  return sampleColor([...tables].reverse(), stride, [2 * step, step, 0])
}

export interface Resampler {
  readonly width: number
  readonly height: number
  /** Elements in the tensor. */
  readonly length: number
  allocate(): Pixels
  /** Fills `out` completely; `raster` has as many channels as the model's colour needs. */
  fill(raster: Raster, placement: Placement, out: Pixels): void
}

/** For one model input: tables and strides are made once. */
export function createResampler(input: ImageInput): Resampler {
  const nhwc = input.layout === 'NHWC'
  const [height, width] = nhwc ? [input.shape[1], input.shape[2]] : [input.shape[2], input.shape[3]]
  const channels = input.color === 'gray' ? 1 : 3
  const tables = tablesOf(input, channels)
  const pixelStride = nhwc ? channels : 1
  const channelStride = nhwc ? 1 : width * height
  const sampleRow = sampleRowOf(input, tables, width * height)
  const pad = input.resize.mode === 'letterbox' ? input.resize.pad : 0

  function fillPadding(out: Pixels): void {
    for (let c = 0; c < channels; c++) {
      const value = tables[c]?.[pad] ?? 0
      for (let i = c * channelStride, n = 0; n < width * height; n++, i += pixelStride) out[i] = value
    }
  }

  return {
    width,
    height,
    length: width * height * channels,
    allocate: () =>
      input.dtype === 'uint8' ? new Uint8Array(width * height * channels) : new Float32Array(width * height * channels),
    fill(raster, placement, out) {
      const { source, target } = placement
      const across = axisOf(source.width, target.width)
      const down = axisOf(source.height, target.height)
      const blockRow = createBlockRow(raster, placement, across, down)
      const length = across.blocks * channels
      let [upper, lower] = [new Float32Array(length), new Float32Array(length)]
      let [upperAt, lowerAt] = [-1, -1]
      if (target.width < width || target.height < height) fillPadding(out)
      for (let y = 0; y < target.height; y++) {
        const [low, high, weight] = [down.low[y] as number, down.high[y] as number, down.weight[y] as number]
        if (upperAt !== low) {
          if (lowerAt === low) {
            ;[upper, lower, upperAt, lowerAt] = [lower, upper, low, -1]
          } else {
            blockRow(low, upper)
            upperAt = low
          }
        }
        if (lowerAt !== high) {
          blockRow(high, lower)
          lowerAt = high
        }
        const from = ((target.y + y) * width + target.x) * pixelStride
        sampleRow(upper, lower, weight, across, from, out)
      }
    },
  }
}
