import fc from 'fast-check'
import sharp from 'sharp'
import { beforeAll, describe, expect, test } from 'vitest'
import { readImageHeader } from '../../models/runtime/decode/header.ts'
import { RunFailure } from '../../models/runtime/failure.ts'
import type { Model } from '../../models/runtime/model.ts'
import { readWav } from '../../models/runtime/wav.ts'
import { pixelBomb } from '../harness/pixel-bomb.ts'
import { answerOf, failureOf, inPackage, json, opened, shipped } from './zoo.ts'

let photo: Buffer
let model: Model

beforeAll(async () => {
  photo = await inPackage(await shipped('mobilenet-v1'), 'golden/coffee.jpg')
})

const classifier = async (): Promise<Model> => opened(await shipped('mobilenet-v1'))

/** The photo with other dimensions written into its start-of-frame segment. */
function lyingJpeg(width: number, height: number): Buffer {
  const copy = Buffer.from(photo)
  const at = copy.indexOf(Buffer.from([0xff, 0xc0]))
  copy.writeUInt16BE(height, at + 5)
  copy.writeUInt16BE(width, at + 7)
  return copy
}

describe('a picture that is not whole or not a picture is a bad frame', () => {
  test('a JPEG cut off anywhere', async () => {
    model = await classifier()
    for (const length of [3, 20, 400, 700, photo.length >> 1, photo.length - 30, photo.length - 2])
      expect(await failureOf(model, 'image/jpeg', photo.subarray(0, length))).toMatch(
        /^bad-frame: .*(cut off|damaged|premature)/,
      )
    expect(await answerOf(model, 'image/jpeg', photo)).toMatchObject({ prediction: { kind: 'classification' } })
  })

  test('a JPEG whose header lies about its size', async () => {
    model = await classifier()
    expect(await failureOf(model, 'image/jpeg', lyingJpeg(65_500, 65_500))).toMatch(
      /^bad-frame: .* more than the limit/,
    )
    expect(await failureOf(model, 'image/jpeg', lyingJpeg(0, 357))).toMatch(/^bad-frame: the picture says it is 0x357/)
    expect(await failureOf(model, 'image/jpeg', lyingJpeg(536, 3570))).toMatch(/^bad-frame: /)
    expect(await failureOf(model, 'image/jpeg', lyingJpeg(7000, 7000))).toMatch(/^bad-frame: /)
  })

  test('a PNG of 20,000 x 20,000 pixels in a few KB, before any of it is unpacked', async () => {
    model = await classifier()
    const bomb = pixelBomb(20_000, 20_000)
    expect(bomb.length).toBeLessThan(64 * 1024)
    const before = process.memoryUsage.rss()
    expect(await failureOf(model, 'image/png', bomb)).toMatch(
      /^bad-frame: the picture is 20000x20000, more than the limit/,
    )
    expect(process.memoryUsage.rss() - before).toBeLessThan(32 * 2 ** 20)
  })

  test('text, nothing, and a picture of another kind', async () => {
    model = await classifier()
    for (const text of ['', 'hello', '<svg xmlns="http://www.w3.org/2000/svg"/>'])
      expect(await failureOf(model, 'image/png', Buffer.from(text))).toMatch(
        /^bad-frame: the frame is not a JPEG, PNG or WebP/,
      )
    expect(await failureOf(model, 'application/json', json({ samples: [] }))).toMatch(
      /^bad-frame: mobilenet-v1 takes image/,
    )
    expect(await failureOf(model, 'audio/wav', photo)).toMatch(/^bad-frame: mobilenet-v1 takes image/)
  })

  test('a PNG or WebP cut in half', async () => {
    model = await classifier()
    for (const bytes of [await sharp(photo).png().toBuffer(), await sharp(photo).webp().toBuffer()])
      expect(await failureOf(model, 'image/png', bytes.subarray(0, bytes.length >> 1))).toMatch(
        /^bad-frame: the (PNG|WEBP) cannot/,
      )
  })

  test('a JPEG with any bytes changed is answered or refused, and nothing else', async () => {
    model = await classifier()
    const change = fc.tuple(fc.integer({ min: 2, max: photo.length - 1 }), fc.integer({ min: 0, max: 255 }))
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 20 }), async (changes) => {
        const copy = Buffer.from(photo)
        for (const [at, byte] of changes) copy[at] = byte
        const outcome = await answerOf(model, 'image/jpeg', copy).catch((error: unknown) => error)
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(RunFailure)
      }),
      { numRuns: 60 },
    )
  })
})

describe('a whole picture in an unusual form is answered', () => {
  /** The answer to the photo as it is, best label only. */
  const label = async (bytes: Buffer, contentType = 'image/jpeg'): Promise<string | undefined> => {
    const { prediction } = await answerOf(model, contentType, bytes)
    return prediction.kind === 'classification' ? prediction.labels[0]?.label : undefined
  }

  test('PNG with alpha, WebP, grey, CMYK, progressive', async () => {
    model = await classifier()
    expect(await label(await sharp(photo).ensureAlpha(0.9).png().toBuffer(), 'image/png')).toBe('espresso')
    expect(await label(await sharp(photo).webp({ lossless: true }).toBuffer(), 'image/webp')).toBe('espresso')
    expect(await label(await sharp(photo).toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer())).toBe('espresso')
    expect(await label(await sharp(photo).jpeg({ progressive: true, quality: 95 }).toBuffer())).toBe('espresso')
    const grey = await sharp(photo).toColourspace('b-w').jpeg().toBuffer()
    expect(readImageHeader(grey)?.components).toBe(1)
    expect(await label(grey)).toEqual(expect.any(String))
  })

  test('a photo lying on its side is turned upright by its EXIF orientation', async () => {
    model = await opened(await shipped('ssd-mobilenet-v1'))
    const sideways = await sharp(photo).rotate(90).withMetadata({ orientation: 8 }).jpeg({ quality: 95 }).toBuffer()
    expect(readImageHeader(sideways)).toMatchObject({ width: 357, height: 536, orientation: 8 })
    const { prediction } = await answerOf(model, 'image/jpeg', sideways)
    const [cup] = prediction.kind === 'detection' ? prediction.objects : []
    expect(cup?.label).toBe('cup')
    const upright = [0.2788, 0.0361, 0.706, 0.7909]
    for (const [i, v] of cup!.box.entries()) expect(Math.abs(v - upright[i]!)).toBeLessThan(0.05)
  })

  test('stray bytes behind the picture, as webcams leave them', async () => {
    model = await classifier()
    expect(await label(Buffer.concat([photo, Buffer.alloc(500)]))).toBe('espresso')
  })

  test('a picture of 12 megapixels is reduced while it is decoded', async () => {
    model = await classifier()
    const large = await sharp(photo).resize(4000, 3000, { fit: 'fill' }).jpeg().toBuffer()
    expect(await label(large)).toBe('espresso')
  })

  test('a grey model takes the brightness of a colour picture', async () => {
    model = await opened(await shipped('fashion'))
    const png = await inPackage(await shipped('fashion'), 'golden/bag.png')
    const asJpeg = await sharp(png).resize(112, 112).toColourspace('srgb').jpeg({ quality: 95 }).toBuffer()
    expect(await label(asJpeg)).toBe('bag')
  })
})

describe('sound', () => {
  const wav = (fields: {
    code?: number
    channels?: number
    rate?: number
    bits?: number
    dataLength?: number
    samples?: number
  }) => {
    const { code = 1, channels = 1, rate = 16_000, bits = 16, samples = 600 } = fields
    const bytes = Buffer.alloc(44 + samples * 2)
    bytes.write('RIFF', 0, 'latin1')
    bytes.writeUInt32LE(0xffffffff, 4)
    bytes.write('WAVEfmt ', 8, 'latin1')
    bytes.writeUInt32LE(16, 16)
    bytes.writeUInt16LE(code, 20)
    bytes.writeUInt16LE(channels, 22)
    bytes.writeUInt32LE(rate, 24)
    bytes.writeUInt16LE(bits, 34)
    bytes.write('data', 36, 'latin1')
    bytes.writeUInt32LE(fields.dataLength ?? samples * 2, 40)
    return bytes
  }

  test('a WAV file of another kind is told what the model takes', async () => {
    model = await opened(await shipped('silero-vad'))
    for (const fields of [{ code: 3 }, { channels: 2 }, { rate: 44_100 }, { bits: 24 }])
      expect(await failureOf(model, 'audio/wav', wav(fields))).toMatch(
        /^bad-frame: the WAV file is format .*; this model takes 16-bit PCM, 1 channel at 16000 Hz/,
      )
  })

  test('a header that claims 4 GB is read as far as the file goes', async () => {
    model = await opened(await shipped('silero-vad'))
    const { prediction } = await answerOf(model, 'audio/wav', wav({ dataLength: 0xfffffff0 }))
    expect(prediction).toMatchObject({ windows: [expect.any(Number)] })
  })

  test('a clip shorter than a window or longer than a minute is a bad tensor', async () => {
    model = await opened(await shipped('silero-vad'))
    expect(await failureOf(model, 'audio/wav', wav({ samples: 511 }))).toMatch(/^bad-tensor: the clip has 511 samples/)
    expect(await failureOf(model, 'audio/wav', wav({ samples: 16_000 * 60 + 1 }))).toMatch(
      /^bad-tensor: the clip is longer/,
    )
    expect(await failureOf(model, 'image/jpeg', photo)).toMatch(/^bad-frame: silero-vad takes audio\/wav/)
  })

  test('any bytes behind a RIFF header are read or refused', () => {
    const signal = { rate: 16_000, channels: 1 as const, window: 512, hop: 512, maxSeconds: 60 }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (tail, isRiff) => {
        const bytes = isRiff ? Buffer.concat([wav({}).subarray(0, 12), tail]) : tail
        try {
          readWav(bytes, signal)
        } catch (error) {
          expect(error).toBeInstanceOf(RunFailure)
        }
      }),
    )
  })
})

test('any bytes at all have a header or none', () => {
  const starts = [
    [],
    [0xff, 0xd8, 0xff],
    [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
    [...Buffer.from('RIFF0000WEBPVP8L')],
  ]
  fc.assert(
    fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 200 }), (start, tail) => {
      const header = readImageHeader(Buffer.from([...start, ...tail]))
      if (header) expect(header.width * header.height).toBeGreaterThanOrEqual(0)
    }),
    { numRuns: 2000 },
  )
})
