// Models that listen: a clip is cut into windows, and state flows from each window to the next.
import type { ManifestOf } from '../../manifest.ts'
import { createDigest } from '../digest.ts'
import { RunFailure } from '../failure.ts'
import { hear } from '../outputs/audio.ts'
import type { RawTensor, Session } from '../session.ts'
import { readWav } from '../wav.ts'
import { readSamples } from './json.ts'
import type { InputFrame, Prepare } from './prepared.ts'

type AudioManifest = ManifestOf<'audio'>

function samplesOf({ id, signal }: AudioManifest, { contentType, data }: InputFrame): Float32Array {
  if (contentType === 'audio/wav') return readWav(data, signal)
  if (contentType === 'application/json') return Float32Array.from(readSamples(data))
  throw new RunFailure(
    'bad-frame',
    `${id} takes audio/wav (16-bit PCM, ${signal.channels} channel, ${signal.rate} Hz) or JSON {"samples":[…]}, not ${contentType}`,
  )
}

function check({ signal }: AudioManifest, samples: Float32Array): void {
  if (samples.length < signal.window)
    throw new RunFailure('bad-tensor', `the clip has ${samples.length} samples; one window is ${signal.window}`)
  if (samples.length > signal.maxSeconds * signal.rate)
    throw new RunFailure('bad-tensor', `the clip is longer than the ${signal.maxSeconds} s this model takes`)
  if (!samples.every(Number.isFinite)) throw new RunFailure('bad-tensor', 'the clip has a sample that is not a number')
}

/** State starts at zero with each clip. What is left after the last whole window is not looked at. */
async function listen(manifest: AudioManifest, samples: Float32Array, session: Session) {
  const { input, signal, state, output } = manifest
  const fetches = [...output.names, ...state.map((s) => s.out)]
  const digest = createDigest(output.names)
  const scores: number[] = []
  let carried: Record<string, RawTensor> = {}
  for (const s of state) {
    const length = s.shape.reduce((product, n) => product * n, 1)
    carried[s.in] = { type: 'float32', shape: s.shape, data: new Float32Array(length) }
  }
  for (let at = 0; at + signal.window <= samples.length; at += signal.hop) {
    const window = samples.subarray(at, at + signal.window)
    const feeds = { [input.name]: { type: input.dtype, shape: input.shape, data: window }, ...carried }
    const outputs = await session.run(feeds, fetches)
    digest.add(outputs)
    scores.push(Number(outputs[output.names[0]]?.data[0]))
    carried = {}
    for (const s of state) {
      const next = outputs[s.out]
      if (!next) throw new RunFailure('model-failed', `the model did not answer its state "${s.out}"`)
      carried[s.in] = { ...next, shape: s.shape }
    }
  }
  return { prediction: hear(scores, manifest), digest: digest.hex() }
}

export function createAudioTask(manifest: AudioManifest): Prepare {
  return async (frame) => {
    const samples = samplesOf(manifest, frame)
    check(manifest, samples)
    return { run: (session) => listen(manifest, samples, session), release: () => {} }
  }
}
