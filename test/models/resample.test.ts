import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ImageInput } from '../../models/manifest.ts'
import { createFrameDecoder } from '../../models/runtime/decode/frame.ts'
import { DEFAULT_MAX_PIXELS } from '../../models/runtime/decode/limits.ts'
import { type Placement, placementOf, toFrame } from '../../models/runtime/decode/placement.ts'
import type { Raster } from '../../models/runtime/decode/raster.ts'
import { createResampler } from '../../models/runtime/decode/resample.ts'
import { fixture, inPackage, shipped } from './zoo.ts'

/** Mean of the source pixels of block (bx, by) of the placed part, straight from the definition. */
function blockMean(
  raster: Raster,
  { source }: Placement,
  kx: number,
  ky: number,
  bx: number,
  by: number,
  c: number,
): number {
  let [sum, count] = [0, 0]
  for (let y = by * ky; y < Math.min(source.height, (by + 1) * ky); y++)
    for (let x = bx * kx; x < Math.min(source.width, (bx + 1) * kx); x++) {
      sum += raster.data[((source.y + y) * raster.width + source.x + x) * raster.channels + c]!
      count++
    }
  return sum / count
}

/** One value of the resized picture by the book: blocks where the picture shrinks twofold or more, then four neighbours. */
function naive(raster: Raster, placement: Placement, x: number, y: number, c: number): number {
  const { source, target } = placement
  const axis = (from: number, to: number, i: number) => {
    const block = Math.max(1, Math.floor(from / to))
    const count = Math.ceil(from / block)
    const at = Math.min(count - 1, Math.max(0, ((i + 0.5) * from) / block / to - 0.5))
    return { block, low: Math.floor(at), high: Math.min(count - 1, Math.floor(at) + 1), w: at - Math.floor(at) }
  }
  const [h, v] = [axis(source.width, target.width, x), axis(source.height, target.height, y)]
  const at = (bx: number, by: number) => blockMean(raster, placement, h.block, v.block, bx, by, c)
  const upper = at(h.low, v.low) * (1 - h.w) + at(h.high, v.low) * h.w
  const lower = at(h.low, v.high) * (1 - h.w) + at(h.high, v.high) * h.w
  return upper * (1 - v.w) + lower * v.w
}

const inputOf = (width: number, height: number, more: Partial<ImageInput>): ImageInput => {
  const channels = more.color === 'gray' ? 1 : 3
  const isNchw = more.layout === 'NCHW'
  return {
    name: 'input',
    dtype: 'uint8',
    layout: 'NHWC',
    shape: isNchw ? [1, channels, height, width] : [1, height, width, channels],
    color: 'rgb',
    resize: { mode: 'stretch' },
    ...more,
  }
}

const side = fc.integer({ min: 1, max: 40 })
const cases = fc.record({
  frame: fc.record({ width: side, height: side }),
  width: fc.integer({ min: 1, max: 17 }),
  height: fc.integer({ min: 1, max: 17 }),
  seed: fc.integer(),
  layout: fc.constantFrom('NHWC' as const, 'NCHW' as const),
  color: fc.constantFrom('rgb' as const, 'bgr' as const, 'gray' as const),
  resize: fc.constantFrom<ImageInput['resize']>(
    { mode: 'stretch' },
    { mode: 'center-crop' },
    { mode: 'letterbox', pad: 114 },
  ),
})

function rasterOf(width: number, height: number, channels: 1 | 3, seed: number): Raster {
  let state = seed >>> 0
  const data = Uint8Array.from({ length: width * height * channels }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 24
  })
  return { data, width, height, channels }
}

test('resizing in one pass is resizing by the definition, for every layout, colour order and fit', () => {
  fc.assert(
    fc.property(cases, ({ frame, width, height, seed, layout, color, resize }) => {
      const channels = color === 'gray' ? 1 : 3
      const raster = rasterOf(frame.width, frame.height, channels, seed)
      const resampler = createResampler(inputOf(width, height, { layout, color, resize }))
      const placement = placementOf(resize, raster, resampler)
      const out = resampler.allocate().fill(7)
      resampler.fill(raster, placement, out)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++)
          for (let c = 0; c < channels; c++) {
            const at = layout === 'NHWC' ? (y * width + x) * channels + c : (c * height + y) * width + x
            const { target } = placement
            const [tx, ty] = [x - target.x, y - target.y]
            const isPadding = tx < 0 || ty < 0 || tx >= target.width || ty >= target.height
            const rasterChannel = color === 'bgr' ? 2 - c : c
            const wanted = isPadding ? 114 : naive(raster, placement, tx, ty, rasterChannel)
            // Half a step for rounding to a byte, and a hair for the order of additions.
            expect(Math.abs(out[at]! - wanted)).toBeLessThanOrEqual(0.5001)
          }
    }),
    { numRuns: 300 },
  )
})

test('a picture of the input size passes through unchanged, normalised per channel', () => {
  const raster = rasterOf(5, 4, 3, 1)
  const input = inputOf(5, 4, { dtype: 'float32', mean: [10, 20, 30], std: [1, 2, 4] })
  const resampler = createResampler(input)
  const out = resampler.allocate()
  resampler.fill(raster, placementOf({ mode: 'stretch' }, raster, resampler), out)
  const wanted = Float32Array.from(raster.data, (v, i) => (v - [10, 20, 30][i % 3]!) / [1, 2, 4][i % 3]!)
  expect(out).toEqual(wanted)
})

test('a point in the input is found again in the frame, whatever the fit', () => {
  fc.assert(
    fc.property(cases, ({ frame, width, height, resize }) => {
      const placement = placementOf(resize, frame, { width, height })
      const { source, target } = placement
      const corner = (x: number, y: number) => toFrame(placement, x / width, y / height)
      const [left, top] = corner(target.x, target.y)
      const [right, bottom] = corner(target.x + target.width, target.y + target.height)
      expect(left).toBeCloseTo(source.x / frame.width)
      expect(top).toBeCloseTo(source.y / frame.height)
      expect(right).toBeCloseTo((source.x + source.width) / frame.width)
      expect(bottom).toBeCloseTo((source.y + source.height) / frame.height)
    }),
  )
})

describe('against pixels made by another decoder and resizer', () => {
  test.each([
    ['mobilenet-v1', 224, 'center-crop'],
    ['ssd-mobilenet-v1', 300, 'stretch'],
  ] as const)('%s', async (id, length, mode) => {
    const pkg = await shipped(id)
    const decoder = createFrameDecoder(inputOf(length, length, { resize: { mode } }), DEFAULT_MAX_PIXELS)
    for (const photo of ['chelsea', 'coffee', 'astronaut']) {
      const { pixels } = await decoder.decode(await inPackage(pkg, `golden/${photo}.jpg`))
      const theirs = await fixture(`golden/${photo}.${length}.u8.bin`)
      const sum = theirs.reduce((total, v, i) => total + Math.abs(v - pixels[i]!), 0)
      // Another IDCT and a wider filter; a shift by half a pixel would make this 6 and more.
      expect(sum / theirs.length).toBeLessThan(3.5)
    }
  })
})
