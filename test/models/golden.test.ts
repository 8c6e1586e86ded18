import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import { fp32Of, type ModelPackage } from '../../models/catalog.ts'
import type { ManifestOf } from '../../models/manifest.ts'
import { createDigest } from '../../models/runtime/digest.ts'
import { classify } from '../../models/runtime/outputs/classification.ts'
import { detect } from '../../models/runtime/outputs/detection.ts'
import { judge } from '../../models/runtime/outputs/series.ts'
import { openSession, type Session, type Tensors } from '../../models/runtime/session.ts'
import { featuresOf } from '../../models/runtime/signal.ts'
import { answerOf, fixture, inPackage, opened, shipped } from './zoo.ts'

interface Recorded {
  input: string
  input_f32_sha256: string
  output_sha256: Record<string, string>
  top5?: { index: number; label: string; score: number }[]
  top3?: { index: number; label: string; score: number }[]
  detections?: { label: string; index: number; score: number; box: number[] }[]
  window?: string
  reconstruction_mse?: number
  anomaly?: boolean
}

const hash = (data: ArrayBufferView): string =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')

const floats = (bytes: Buffer): Float32Array => new Float32Array(new Uint8Array(bytes).buffer)

let recorded: Record<string, Recorded[] | { cases: Recorded[]; outputs500_sha256: string }>

beforeAll(async () => {
  recorded = JSON.parse((await fixture('golden/golden.json')).toString()).models
})

const casesOf = (file: string): Recorded[] => {
  const entry = recorded[file]
  if (!entry) throw new Error(`${file} is not in golden.json`)
  return Array.isArray(entry) ? entry : entry.cases
}

/** The recorded pixels as the manifest normalises them: what every pixel path must arrive at. */
async function pixelsOf(
  name: string,
  { mean = [0], std = [1] }: Pick<ManifestOf<'classification'>['input'], 'mean' | 'std'>,
) {
  return Float32Array.from(
    await fixture(`golden/${name}`),
    (v, i) => (v - mean[i % mean.length]!) / std[i % std.length]!,
  )
}

async function sessionOf(pkg: ModelPackage): Promise<Session> {
  return openSession(await readFile(pkg.file), { intraOpThreads: 1 })
}

const runOn = (
  session: Session,
  manifest: { input: { name: string; shape: number[] }; output: { names: string[] } },
  data: Float32Array,
) =>
  session.run({ [manifest.input.name]: { type: 'float32', shape: manifest.input.shape, data } }, manifest.output.names)

function expectDigests(outputs: Tensors, names: readonly string[], wanted: Record<string, string>): void {
  for (const name of names) expect(hash(outputs[name]!.data)).toBe(wanted[name])
  const digest = createDigest(names)
  digest.add(outputs)
  const joined = createHash('sha256')
  for (const name of names) joined.update(new Uint8Array(outputs[name]!.data.buffer))
  expect(digest.hex()).toBe(joined.digest('hex'))
}

describe('the outputs recorded independently, from the same pixels, are met bit for bit', () => {
  test.each([
    ['mobilenet-v1', 'mobilenet-v1.onnx', 5],
    ['fashion', 'fashion.onnx', 3],
  ] as const)('%s', async (id, file, k) => {
    const pkg = await shipped(id)
    const manifest = pkg.manifest as ManifestOf<'classification'>
    const session = await sessionOf(pkg)
    for (const { input, input_f32_sha256, output_sha256, top5, top3 } of casesOf(file)) {
      const pixels = await pixelsOf(input, manifest.input)
      expect(hash(pixels)).toBe(input_f32_sha256)
      const outputs = await runOn(session, manifest, pixels)
      expectDigests(outputs, manifest.output.names, output_sha256)
      const scores = outputs[manifest.output.names[0]]!.data as Float32Array
      const { labels } = classify(scores, manifest, pkg.labels) as { labels: object[] }
      expect(labels).toEqual((top5 ?? top3)?.slice(0, k))
    }
    await session.close()
  })

  test('fashion before quantization', async () => {
    const pkg = fp32Of(await shipped('fashion'))!
    const manifest = pkg.manifest as ManifestOf<'classification'>
    const session = await sessionOf(pkg)
    for (const { input, output_sha256 } of casesOf('fashion.fp32.onnx'))
      expectDigests(await runOn(session, manifest, await pixelsOf(input, manifest.input)), ['output'], output_sha256)
    await session.close()
  })

  test('ssd-mobilenet-v1, with its boxes clamped to the frame', async () => {
    const pkg = await shipped('ssd-mobilenet-v1')
    const manifest = pkg.manifest as ManifestOf<'detection'>
    const session = await sessionOf(pkg)
    const side = { width: 300, height: 300 }
    const placement = { frame: side, input: side, source: { x: 0, y: 0, ...side }, target: { x: 0, y: 0, ...side } }
    for (const { input, output_sha256, detections } of casesOf('ssd-mobilenet-v1.onnx')) {
      const outputs = await runOn(session, manifest, await pixelsOf(input, manifest.input))
      expectDigests(outputs, ['boxes', 'scores'], output_sha256)
      const clamped = detections?.map((d) => ({ ...d, box: d.box.map((v) => Math.min(1, Math.max(0, v))) }))
      expect(detect(outputs, manifest, pkg.labels, placement)).toEqual({ kind: 'detection', objects: clamped })
    }
    await session.close()
  })

  test.each(['vibration-ae.onnx', 'vibration-ae.fp32.onnx'])('%s, from features and from raw windows', async (file) => {
    const int8 = await shipped('vibration-ae')
    const pkg = file.includes('fp32') ? fp32Of(int8)! : int8
    const manifest = pkg.manifest as ManifestOf<'series'>
    const session = await sessionOf(pkg)
    for (const { input, window, output_sha256, reconstruction_mse, anomaly } of casesOf(file)) {
      const features = floats(await fixture(`golden/${input}`))
      const outputs = await runOn(session, manifest, features)
      expectDigests(outputs, ['output'], output_sha256)
      const ours = featuresOf(floats(await fixture(`golden/${window}`)), manifest.signal.features!)
      for (const [i, v] of features.entries()) expect(Math.abs(ours[i]! - v)).toBeLessThan(1e-5)
      const judged = judge(features, outputs['output']!.data as Float32Array, manifest.output)
      expect(judged).toMatchObject({ anomaly, score: expect.closeTo(reconstruction_mse!, 5) })
    }
    await session.close()
  })
})

describe('every golden frame of a package, as its sender would send it, is answered as recorded', () => {
  test.each(['mobilenet-v1', 'ssd-mobilenet-v1', 'silero-vad', 'fashion', 'vibration-ae'])('%s', async (id) => {
    const pkg = await shipped(id)
    const model = await opened(pkg)
    expect(pkg.manifest.golden.length).toBeGreaterThan(0)
    for (const { frame, contentType, digest, result } of pkg.manifest.golden)
      expect(await answerOf(model, contentType, await inPackage(pkg, frame.path))).toEqual({
        digest,
        prediction: result,
      })
  })

  test('and these agree with what was recorded elsewhere', async () => {
    const digestsOf = async (id: string) => (await shipped(id)).manifest.golden.map((golden) => golden.digest)
    expect(await digestsOf('fashion')).toEqual(casesOf('fashion.onnx').map((c) => c.output_sha256['output']))
    expect(await digestsOf('vibration-ae')).toEqual(casesOf('vibration-ae.onnx').map((c) => c.output_sha256['output']))
    const [speech] = recorded['silero-vad.onnx'] as unknown as { probs_sha256: string; probs: number[] }[]
    expect(await digestsOf('silero-vad')).toEqual([speech!.probs_sha256])
    const [golden] = (await shipped('silero-vad')).manifest.golden
    expect(golden!.result).toMatchObject({ windows: speech!.probs })
  })

  test('a photo decoded by us is the picture another decoder and resizer see', async () => {
    const labelsOf = async (id: string) =>
      (await shipped(id)).manifest.golden.slice(0, 2).map(({ result }) => {
        if (result.kind === 'classification') return result.labels[0]?.label
        return result.kind === 'detection' ? result.objects.map((o) => o.label) : undefined
      })
    expect(await labelsOf('mobilenet-v1')).toEqual(['Egyptian cat', 'espresso'])
    expect(await labelsOf('ssd-mobilenet-v1')).toEqual([['cat'], ['cup', 'dining table', 'bowl']])
  })
})

test('silence and noise are not speech', async () => {
  const model = await opened(await shipped('silero-vad'))
  let seed = 1
  const noise = Array.from({ length: 16000 }, () => {
    seed = (seed * 1664525 + 1013904223) % 2 ** 32
    return (seed / 2 ** 32 - 0.5) * 0.1
  })
  for (const samples of [new Array(16000).fill(0), noise]) {
    const { prediction } = await answerOf(model, 'application/json', Buffer.from(JSON.stringify({ samples })))
    expect(prediction).toMatchObject({ kind: 'audio', segments: [] })
    expect((prediction as { windows: number[] }).windows).toHaveLength(31)
  }
})

describe('on 500 garments never seen in training', () => {
  const SIZE = 28 * 28

  async function answers(pkg: ModelPackage) {
    const manifest = pkg.manifest as ManifestOf<'classification'>
    const images = gunzipSync(await fixture('fashion-500-images.idx3-ubyte.gz')).subarray(16)
    const truth = (await fixture('fashion-500-labels.idx1-ubyte')).subarray(8)
    const session = await sessionOf(pkg)
    const digest = createDigest(manifest.output.names)
    let right = 0
    for (const [i, label] of truth.entries()) {
      const pixels = Float32Array.from(images.subarray(i * SIZE, (i + 1) * SIZE), (v) => v / 255)
      const outputs = await runOn(session, manifest, pixels)
      digest.add(outputs)
      const { labels } = classify(outputs['output']!.data as Float32Array, manifest, pkg.labels) as {
        labels: { index: number }[]
      }
      if (labels[0]?.index === label) right++
    }
    await session.close()
    return { accuracy: right / truth.length, digest: digest.hex() }
  }

  test('int8 is right on at least 87 %, with the recorded output bytes', async () => {
    const { accuracy, digest } = await answers(await shipped('fashion'))
    expect(accuracy).toBeGreaterThanOrEqual(0.87)
    expect(digest).toBe((recorded['fashion.onnx'] as { outputs500_sha256: string }).outputs500_sha256)
  })

  test('quantization cost less than one point', async () => {
    const int8 = await answers(await shipped('fashion'))
    const float = await answers(fp32Of(await shipped('fashion'))!)
    expect(float.accuracy - int8.accuracy).toBeLessThan(0.01)
  })
})

test('the deliberately broken model loads and answers, and its digest gives it away', async () => {
  const good = await shipped('mobilenet-v1')
  const manifest = good.manifest as ManifestOf<'classification'>
  const session = await openSession(gunzipSync(await fixture('mobilenet-v1.bad.onnx.gz')), { intraOpThreads: 1 })
  const [chelsea] = casesOf('mobilenet-v1.bad.onnx')
  const outputs = await runOn(
    session,
    { ...manifest, output: { names: ['output0'] } },
    await pixelsOf(chelsea!.input, manifest.input),
  )
  expect(hash(outputs['output0']!.data)).toBe(chelsea!.output_sha256['output0'])
  expect(chelsea!.top5![0]!.label).not.toBe('Egyptian cat')
  await session.close()
})
