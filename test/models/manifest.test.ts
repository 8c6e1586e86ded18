import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readManifest } from '../../models/manifest.ts'
import { type Json, MODELS, set } from './zoo.ts'

const manifestOf = async (id: string): Promise<Json> =>
  JSON.parse(await readFile(join(MODELS, id, 'model.json'), 'utf8'))

/** The faults found after one change to a good manifest. */
async function problemsAfter(id: string, path: string, value: unknown): Promise<string> {
  const manifest = await manifestOf(id)
  set(manifest, path, value)
  const read = readManifest(manifest)
  return read.ok ? 'none' : read.problems.join('; ')
}

const series = { kind: 'series', score: 1, threshold: 2, anomaly: false }
const yolo = {
  format: 'yolov8',
  names: ['boxes'],
  corners: 'xyxy',
  units: 'pixels',
  activation: 'none',
  classes: 90,
  scoreThreshold: 0.5,
  nms: { iou: 0.5, maxObjects: 10 },
}

test('every shipped manifest is accepted', async () => {
  const ids = ['fashion', 'mobilenet-v1', 'silero-vad', 'ssd-mobilenet-v1', 'vibration-ae']
  expect(await readdir(MODELS)).toEqual(expect.arrayContaining(ids))
  for (const id of ids) expect(readManifest(await manifestOf(id))).toMatchObject({ ok: true })
})

describe('a field that does not belong is named', () => {
  test.each<[string, string, string, unknown, string]>([
    ['an unknown field', 'fashion', 'colour', 'red', 'colour: is not a field here'],
    ['an unknown field deeper down', 'fashion', 'input.resize.crop', 0.9, 'input.resize.crop: is not'],
    ['state without audio', 'fashion', 'state', [], 'state: is not a field here'],
    ['a signal on a detector', 'ssd-mobilenet-v1', 'signal', {}, 'signal: is not a field here'],
    ['nms on a classifier', 'mobilenet-v1', 'output.nms', { iou: 0.5 }, 'output.nms: is not a field here'],
    ['labels on a series', 'vibration-ae', 'labels', {}, 'labels: is not a field here'],
    ['a pad without letterbox', 'fashion', 'input.resize.pad', 0, 'input.resize.pad: is not'],
    ['corners on yolo', 'ssd-mobilenet-v1', 'output', yolo, 'output.corners: is not a field here'],
  ])('%s', async (_, id, path, value, problem) => {
    expect(await problemsAfter(id, path, value)).toContain(problem)
  })
})

describe('a contradiction is named by its field', () => {
  test.each<[string, string, string, unknown, string]>([
    ['layout against shape', 'mobilenet-v1', 'input.layout', 'NCHW', 'input.shape: has 224 channels'],
    ['colour against shape', 'fashion', 'input.color', 'rgb', 'input.shape: has 1 channels'],
    ['too few means', 'mobilenet-v1', 'input.mean', [0], 'input.mean: must have 3 numbers'],
    ['no deviation for floats', 'mobilenet-v1', 'input.std', undefined, 'input.std: must have 3 numbers'],
    ['a mean for bytes', 'mobilenet-v1', 'input.dtype', 'uint8', 'input.mean: contradicts dtype uint8'],
    ['a batch', 'fashion', 'input.shape.0', 4, 'input.shape.0'],
    ['background beyond the classes', 'fashion', 'labels.background', 10, 'labels.background: is not below'],
    ['more answers than classes', 'fashion', 'output.topK', 11, 'output.topK: is more than'],
    ['a window unlike the input', 'silero-vad', 'signal.window', 256, 'signal.window: is not the 512'],
    ['a hop that skips samples', 'silero-vad', 'signal.hop', 513, 'signal.hop: is longer'],
    ['state named like the input', 'silero-vad', 'state.0.in', 'x', 'state: uses the tensor name "x" twice'],
    ['a window that has no spectrum', 'vibration-ae', 'signal.window', 1000, 'signal.window: must be a power'],
    ['bins unlike the input', 'vibration-ae', 'signal.features.pool', 2, 'signal.features.pool: makes 256'],
    ['a short mean', 'vibration-ae', 'signal.features.mean', Array(127).fill(0), 'signal.features.mean: has 127'],
    ['a deviation of zero', 'vibration-ae', 'signal.features.std.3', 0, 'signal.features.std.3'],
    ['fp32 of a float model', 'fashion', 'quantization.kind', 'none', 'quantization.fp32: contradicts'],
    ['a golden answer of another task', 'fashion', 'golden.0.result', series, 'golden.0.result.kind'],
    ['a golden case without a digest', 'fashion', 'golden.0.outputs', {}, 'golden.0.outputs: lacks'],
    ['ssd with one output', 'ssd-mobilenet-v1', 'output.names', ['boxes'], 'output.names'],
    ['a path out of the package', 'fashion', 'file.path', '../x.onnx', 'file.path: must be a path inside'],
    ['an absolute path', 'fashion', 'file.path', '/etc/passwd', 'file.path: must be a path inside'],
    ['an id that is no topic level', 'fashion', 'id', 'fashion.v1', 'id: must match'],
  ])('%s', async (_, id, path, value, problem) => {
    expect(await problemsAfter(id, path, value)).toContain(problem)
  })
})

describe('raw bytes for a plain tensor model', () => {
  const tensor = async (inputs: unknown[]): Promise<Json> => {
    const { input: _, labels: __, output: ___, ...head } = await manifestOf('fashion')
    const output = { format: 'raw', names: ['output'] }
    return { ...head, task: 'tensor', golden: [], inputs, output, accepts: ['application/octet-stream'] }
  }
  const input = (name: string, shape: number[]) => ({ name, dtype: 'float32', shape })

  test('are refused for two inputs or a free dimension', async () => {
    expect(readManifest(await tensor([input('a', [1, 4])]))).toMatchObject({ ok: true })
    const two = readManifest(await tensor([input('a', [4]), input('b', [4])]))
    expect(two).toMatchObject({ problems: [expect.stringContaining('accepts: names application/octet-stream')] })
    const free = readManifest(await tensor([input('a', [-1, 4])]))
    expect(free).toMatchObject({ problems: [expect.stringContaining('free dimension')] })
  })
})
