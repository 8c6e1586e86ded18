// PNG, WebP and the JPEGs that libjpeg-turbo refuses, by sharp, which is loaded with the first of them and not before.
import { messageOf, RunFailure } from '../failure.ts'
import type { ImageHeader } from './header.ts'
import { FULL_PIXELS } from './limits.ts'
import type { Raster } from './raster.ts'
import { installedVersion } from './version.ts'

export const IMAGE_DECODER = `sharp-${installedVersion('sharp')}`

async function load() {
  const { default: sharp } = await import('sharp')
  sharp.concurrency(1)
  sharp.cache(false)
  return sharp
}
let loading: ReturnType<typeof load> | undefined

/** The whole picture upright as RGB or grey; throws RunFailure `bad-frame`. `maxPixels` was checked on the header before. */
export async function decodeImage(
  bytes: Buffer,
  header: ImageHeader,
  gray: boolean,
  maxPixels: number,
): Promise<Raster> {
  loading ??= load()
  const sharp = await loading
  const shrink = Math.sqrt(Math.min(1, FULL_PIXELS / (header.width * header.height)))
  const sideways = (header.orientation ?? 1) >= 5
  const [width, height] = sideways ? [header.height, header.width] : [header.width, header.height]
  try {
    let image = sharp(bytes, { limitInputPixels: maxPixels, failOn: 'warning' }).autoOrient()
    if (shrink < 1)
      image = image.resize(Math.ceil(width * shrink), Math.ceil(height * shrink), { fit: 'fill', kernel: 'linear' })
    const { data, info } = await image
      .removeAlpha()
      .toColourspace(gray ? 'b-w' : 'srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    return { data, width: info.width, height: info.height, channels: gray ? 1 : 3 }
  } catch (error) {
    throw new RunFailure('bad-frame', `the ${header.kind.toUpperCase()} cannot be decoded: ${messageOf(error)}`, error)
  }
}
