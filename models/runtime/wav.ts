// PCM samples out of a WAV file that may lie about itself.
import type { AudioSignal } from '../manifest.ts'
import { RunFailure } from './failure.ts'

interface Format {
  readonly code: number
  readonly channels: number
  readonly rate: number
  readonly bits: number
}

const PCM = 1
/** WAVE_FORMAT_EXTENSIBLE; the real code stands in its extension. */
const EXTENSIBLE = 0xfffe

function readFormat(wav: Buffer, at: number, length: number): Format {
  if (length < 16 || at + 16 > wav.length) throw new RunFailure('bad-frame', 'the WAV file has a cut-off fmt chunk')
  const code = wav.readUInt16LE(at)
  const isExtended = code === EXTENSIBLE && length >= 26 && at + 26 <= wav.length
  return {
    code: isExtended ? wav.readUInt16LE(at + 24) : code,
    channels: wav.readUInt16LE(at + 2),
    rate: wav.readUInt32LE(at + 4),
    bits: wav.readUInt16LE(at + 14),
  }
}

/** The fmt chunk and the bytes of the data chunk. A data chunk longer than the file is what is there (streamed WAVs). */
function readChunks(wav: Buffer): { format: Format; data: Buffer } {
  if (wav.toString('latin1', 0, 4) !== 'RIFF' || wav.toString('latin1', 8, 12) !== 'WAVE')
    throw new RunFailure('bad-frame', 'the frame is not a WAV file')
  let format: Format | undefined
  for (let at = 12; at + 8 <= wav.length; ) {
    const name = wav.toString('latin1', at, at + 4)
    const length = wav.readUInt32LE(at + 4)
    if (name === 'fmt ') format = readFormat(wav, at + 8, length)
    if (name === 'data') {
      if (!format) throw new RunFailure('bad-frame', 'the WAV file has data before its fmt chunk')
      return { format, data: wav.subarray(at + 8, Math.min(wav.length, at + 8 + length)) }
    }
    // Chunks are padded to even lengths.
    at += 8 + length + (length % 2)
  }
  throw new RunFailure('bad-frame', 'the WAV file has no data chunk')
}

/** Samples in -1..1 (16-bit value / 32768); throws RunFailure `bad-frame` that says what the model takes. */
export function readWav(bytes: Uint8Array, { rate, channels }: AudioSignal): Float32Array {
  const { format, data } = readChunks(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  if (format.code !== PCM || format.bits !== 16 || format.channels !== channels || format.rate !== rate)
    throw new RunFailure(
      'bad-frame',
      `the WAV file is format ${format.code}, ${format.bits} bit, ${format.channels} channels at ${format.rate} Hz; ` +
        `this model takes 16-bit PCM, ${channels} channel at ${rate} Hz`,
    )
  const samples = new Float32Array(data.length >> 1)
  for (let i = 0; i < samples.length; i++) samples[i] = data.readInt16LE(2 * i) / 32768
  return samples
}
