// Reads what a picture says of itself in its first bytes, before anything is allocated for its pixels.

export interface ImageHeader {
  readonly kind: 'jpeg' | 'png' | 'webp'
  readonly width: number
  readonly height: number
  /** Of a JPEG: 1 grey, 3 colour, 4 CMYK. */
  readonly components?: number
  /** EXIF orientation of a JPEG, 1 (upright) to 8. */
  readonly orientation?: number
}

const isPng = (b: Buffer): boolean =>
  b.length >= 24 && b.readUInt32BE(0) === 0x89504e47 && b.readUInt32BE(4) === 0x0d0a1a0a
const isWebp = (b: Buffer): boolean =>
  b.length >= 30 && b.toString('latin1', 0, 4) === 'RIFF' && b.toString('latin1', 8, 12) === 'WEBP'

/** Start-of-frame markers: C0..CF without DHT (C4), JPG (C8) and DAC (CC). */
const isStartOfFrame = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc

/** The orientation tag (0x0112) of the first directory of an EXIF segment, 1 where there is none or it is odd. */
function readOrientation(exif: Buffer): number {
  if (exif.length < 14 || exif.toString('latin1', 0, 6) !== 'Exif\0\0') return 1
  const tiff = exif.subarray(6)
  const little = tiff.toString('latin1', 0, 2) === 'II'
  const u16 = (at: number) => (at + 2 > tiff.length ? 0 : little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at))
  const directory = little ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4)
  for (let i = 0, at = directory + 2; i < u16(directory); i++, at += 12) {
    if (u16(at) !== 0x0112) continue
    const value = u16(at + 8)
    return value >= 1 && value <= 8 ? value : 1
  }
  return 1
}

function readJpeg(b: Buffer): ImageHeader | undefined {
  let orientation = 1
  for (let at = 2; at + 4 <= b.length; ) {
    if (b[at] !== 0xff) return undefined
    const marker = b.readUInt8(at + 1)
    // Fill bytes and markers without a length.
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += marker === 0xff ? 1 : 2
      continue
    }
    const length = b.readUInt16BE(at + 2)
    if (length < 2) return undefined
    if (isStartOfFrame(marker)) {
      if (at + 10 > b.length) return undefined
      const [height, width, components] = [b.readUInt16BE(at + 5), b.readUInt16BE(at + 7), b.readUInt8(at + 9)]
      return { kind: 'jpeg', width, height, components, orientation }
    }
    if (marker === 0xe1) orientation = readOrientation(b.subarray(at + 4, at + 2 + length))
    at += 2 + length
  }
  return undefined
}

function readWebp(b: Buffer): ImageHeader | undefined {
  const chunk = b.toString('latin1', 12, 16)
  if (chunk === 'VP8X') return { kind: 'webp', width: 1 + b.readUIntLE(24, 3), height: 1 + b.readUIntLE(27, 3) }
  if (chunk === 'VP8 ') return { kind: 'webp', width: b.readUInt16LE(26) & 0x3fff, height: b.readUInt16LE(28) & 0x3fff }
  if (chunk !== 'VP8L') return undefined
  const bits = b.readUInt32LE(21)
  return { kind: 'webp', width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) }
}

/** The header of a JPEG, PNG or WebP, or undefined: not one of these, or cut off before its dimensions. */
export function readImageHeader(bytes: Buffer): ImageHeader | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return readJpeg(bytes)
  if (isPng(bytes)) return { kind: 'png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }
  if (isWebp(bytes)) return readWebp(bytes)
  return undefined
}
