// A picture's bytes to the model's input tensor: header first, then the decoder that fits, then one resampling pass.
import type { ImageInput } from '../../manifest.ts'
import { RunFailure } from '../failure.ts'
import { type ImageHeader, readImageHeader } from './header.ts'
import { decodeImage, IMAGE_DECODER } from './image.ts'
import { createJpegDecoder, JPEG_DECODER } from './jpeg.ts'
import { FULL_PIXELS } from './limits.ts'
import { type Placement, placementOf } from './placement.ts'
import type { Raster } from './raster.ts'
import { createResampler, type Pixels } from './resample.ts'

/** Part of a receipt's runtime: the two decoders do not agree with each other, so both versions count. */
export const DECODER = `${JPEG_DECODER}+${IMAGE_DECODER}`

export interface DecodedFrame {
  readonly pixels: Pixels
  readonly placement: Placement
  /** The tensor's memory goes back to the decoder; `pixels` must not be read after. */
  release(): void
}

/** One is in the model while the next is filled. */
const KEPT_TENSORS = 2

const headerOf = (bytes: Buffer, maxPixels: number): ImageHeader => {
  const header = readImageHeader(bytes)
  if (!header)
    throw new RunFailure('bad-frame', 'the frame is not a JPEG, PNG or WebP picture, or is cut off in its header')
  const { width, height } = header
  if (width === 0 || height === 0) throw new RunFailure('bad-frame', `the picture says it is ${width}x${height}`)
  if (width * height > maxPixels)
    throw new RunFailure('bad-frame', `the picture is ${width}x${height}, more than the limit of ${maxPixels} pixels`)
  return header
}

const isPlainJpeg = ({ kind, width, height, components, orientation }: ImageHeader): boolean =>
  kind === 'jpeg' && (components === 1 || components === 3) && orientation === 1 && width * height <= FULL_PIXELS

/** For one model input. `decode` throws RunFailure `bad-frame`; the JPEG path works on a libuv thread until resampling. */
export function createFrameDecoder(input: ImageInput, maxPixels: number) {
  const jpeg = createJpegDecoder()
  const resampler = createResampler(input)
  const gray = input.color === 'gray'
  const kept: Pixels[] = []

  async function toRaster(bytes: Buffer): Promise<{ raster: Raster; release: () => void }> {
    const header = headerOf(bytes, maxPixels)
    if (isPlainJpeg(header)) {
      const outcome = await jpeg.decode(bytes, header, gray)
      if ('raster' in outcome) return outcome
    }
    return { raster: await decodeImage(bytes, header, gray, maxPixels), release: () => {} }
  }

  return {
    async decode(data: Uint8Array): Promise<DecodedFrame> {
      const { raster, release } = await toRaster(Buffer.from(data.buffer, data.byteOffset, data.byteLength))
      const placement = placementOf(input.resize, raster, resampler)
      const pixels = kept.pop() ?? resampler.allocate()
      resampler.fill(raster, placement, pixels)
      release()
      return { pixels, placement, release: () => void (kept.length < KEPT_TENSORS && kept.push(pixels)) }
    },
  }
}
