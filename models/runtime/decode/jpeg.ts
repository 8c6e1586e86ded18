// JPEG to pixels with libjpeg-turbo on a libuv thread, so that it runs while the model holds the main thread.
import turbo from '@julusian/jpeg-turbo'
import { messageOf, RunFailure } from '../failure.ts'
import type { ImageHeader } from './header.ts'
import type { Raster } from './raster.ts'
import { installedVersion } from './version.ts'

export const JPEG_DECODER = `jpeg-turbo-${installedVersion('@julusian/jpeg-turbo')}`

/** Buffers larger than this are not kept: one large photograph must not hold memory for good. */
const KEPT_BYTES = 4 * 1024 * 1024
/** One frame is in the model while the next is decoded. */
const KEPT_BUFFERS = 2

/** Ends with the end-of-image marker? Trailing zeros and a few stray bytes, as cameras append them, are let pass. */
const isComplete = (jpeg: Buffer): boolean => jpeg.lastIndexOf(Buffer.from([0xff, 0xd9])) > jpeg.length - 1024

export type JpegOutcome = { raster: Raster; release: () => void } | { refused: string }

/**
 * `decode` answers pixels that are the caller's until `release()`; throws RunFailure `bad-frame` for a cut-off or damaged
 * picture; answers `refused` for one that libjpeg-turbo cannot decode but another decoder may.
 */
export function createJpegDecoder(): {
  decode(jpeg: Buffer, header: ImageHeader, gray: boolean): Promise<JpegOutcome>
} {
  const kept: Buffer[] = []

  function take(bytes: number): Buffer {
    const at = kept.findIndex((buffer) => buffer.length >= bytes)
    return (at >= 0 ? kept.splice(at, 1)[0] : undefined) ?? Buffer.allocUnsafeSlow(bytes)
  }
  function giveBack(buffer: Buffer): void {
    if (buffer.length > KEPT_BYTES) return
    kept.push(buffer)
    if (kept.length > KEPT_BUFFERS) kept.shift()
  }

  return {
    async decode(jpeg, { width, height }, gray) {
      const channels = gray ? 1 : 3
      const buffer = take(width * height * channels)
      const raster: Raster = { data: buffer, width, height, channels }
      try {
        await turbo.decompress(jpeg, buffer, { format: gray ? turbo.FORMAT_GRAY : turbo.FORMAT_RGB })
      } catch (error) {
        const reason = messageOf(error)
        // Webcams leave stray bytes between scans; the picture is whole all the same.
        const harmless = /extraneous bytes before marker/i.test(reason) && isComplete(jpeg)
        if (!harmless) {
          giveBack(buffer)
          if (/premature|corrupt|extraneous|suspension/i.test(reason))
            throw new RunFailure('bad-frame', `the JPEG is cut off or damaged: ${reason}`, error)
          return { refused: reason }
        }
      }
      return { raster, release: () => giveBack(buffer) }
    },
  }
}
