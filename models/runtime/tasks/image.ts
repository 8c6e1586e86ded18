// Classifiers and detectors: a picture in, labels or boxes out.
import type { ManifestOf } from '../../manifest.ts'
import { createFrameDecoder } from '../decode/frame.ts'
import type { Placement } from '../decode/placement.ts'
import { createDigest } from '../digest.ts'
import { RunFailure } from '../failure.ts'
import { classify } from '../outputs/classification.ts'
import { detect } from '../outputs/detection.ts'
import type { Tensors } from '../session.ts'
import type { Prepare } from './prepared.ts'

type ImageManifest = ManifestOf<'classification'> | ManifestOf<'detection'>
type Labels = readonly (string | null)[]

function predict(manifest: ImageManifest, labels: Labels, outputs: Tensors, placement: Placement) {
  if (manifest.task === 'detection') return detect(outputs, manifest, labels, placement)
  const scores = outputs[manifest.output.names[0]]?.data
  if (!(scores instanceof Float32Array) || scores.length !== labels.length)
    throw new RunFailure('model-failed', `the model answered ${scores?.length} scores for ${labels.length} labels`)
  return classify(scores, manifest, labels)
}

export function createImageTask(manifest: ImageManifest, labels: Labels, maxPixels: number): Prepare {
  const { input, output } = manifest
  const decoder = createFrameDecoder(input, maxPixels)
  return async ({ contentType, data }) => {
    if (!contentType.startsWith('image/'))
      throw new RunFailure('bad-frame', `${manifest.id} takes image/jpeg, image/png or image/webp, not ${contentType}`)
    const { pixels, placement, release } = await decoder.decode(data)
    return {
      async run(session) {
        const feeds = { [input.name]: { type: input.dtype, shape: input.shape, data: pixels } }
        const outputs = await session.run(feeds, output.names)
        const digest = createDigest(output.names)
        digest.add(outputs)
        return { prediction: predict(manifest, labels, outputs, placement), digest: digest.hex() }
      },
      release,
    }
  }
}
