// Models that watch a sensor: one window of samples in, one anomaly score out.
import type { ManifestOf } from '../../manifest.ts'
import { createDigest } from '../digest.ts'
import { RunFailure } from '../failure.ts'
import { judge } from '../outputs/series.ts'
import { featuresOf } from '../signal.ts'
import { readSamples } from './json.ts'
import type { Prepare } from './prepared.ts'

export function createSeriesTask({ id, input, signal, output }: ManifestOf<'series'>): Prepare {
  return async ({ contentType, data }) => {
    if (contentType !== 'application/json')
      throw new RunFailure('bad-frame', `${id} takes JSON {"samples":[…]}, not ${contentType}`)
    const samples = readSamples(data)
    if (samples.length !== signal.window)
      throw new RunFailure(
        'bad-tensor',
        `${id} takes ${signal.window} samples taken at ${signal.rate} Hz; the frame has ${samples.length}`,
      )
    const features = signal.features ? featuresOf(samples, signal.features) : Float32Array.from(samples)
    if (!features.every(Number.isFinite)) throw new RunFailure('bad-tensor', 'the samples are too large for the model')
    return {
      async run(session) {
        const feeds = { [input.name]: { type: input.dtype, shape: input.shape, data: features } }
        const outputs = await session.run(feeds, output.names)
        const digest = createDigest(output.names)
        digest.add(outputs)
        return {
          prediction: judge(features, outputs[output.names[0]]?.data as Float32Array, output),
          digest: digest.hex(),
        }
      },
      release: () => {},
    }
  }
}
