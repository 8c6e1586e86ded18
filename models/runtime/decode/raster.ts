// Pixels as the decoders hand them on.

export interface Raster {
  /** Rows top to bottom, pixels left to right, `channels` bytes each: RGB or grey. */
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
}
