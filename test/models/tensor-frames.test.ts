import { describe, expect, test } from 'vitest'
import { Manifest } from '../../models/manifest.ts'
import { openModel } from '../../models/runtime/model.ts'
import { createTensorTask } from '../../models/runtime/tasks/tensor.ts'
import { answerOf, failureOf, fixture, json, opened, shipped } from './zoo.ts'

/** The garment classifier as a plain tensor model: the same file, nothing said of its meaning. */
async function plainTensorModel() {
  const fashion = await shipped('fashion')
  const {
    input: _,
    labels: __,
    output: ___,
    ...head
  } = fashion.manifest as Extract<Manifest, { task: 'classification' }>
  const manifest = Manifest.parse({
    ...head,
    task: 'tensor',
    golden: [],
    inputs: [{ name: 'input', dtype: 'float32', shape: [1, 28, 28, 1] }],
    accepts: ['application/json', 'application/octet-stream'],
    output: { format: 'raw', names: ['output'] },
  })
  return { manifest, file: fashion.file, sha256: fashion.sha256, labels: [] }
}

const frame = (shape: unknown, data: unknown, name = 'input') => json({ inputs: { [name]: { shape, data } } })
const blank = new Array<number>(784).fill(0)

test('a plain tensor model takes JSON or raw little-endian bytes and answers raw numbers', async () => {
  const model = await opened(await plainTensorModel())
  const pixels = Float32Array.from(await fixture('golden/fashion-1.28.u8.bin'), (v) => v / 255)
  const fromJson = await answerOf(model, 'application/json', frame([1, 28, 28, 1], [...pixels]))
  // One byte off its alignment, as a slice of a larger message may be.
  const shifted = Buffer.concat([Buffer.alloc(1), Buffer.from(pixels.buffer)]).subarray(1)
  const fromBytes = await answerOf(model, 'application/octet-stream', shifted)
  expect(fromBytes).toEqual(fromJson)
  expect(fromJson).toMatchObject({
    digest: '9dd3f41a300e18a77caea1887e879e4051b668d7471d24c575dc3d872758810a',
    prediction: { kind: 'tensor', outputs: [{ name: 'output', type: 'float32', shape: [1, 10] }] },
  })
})

describe('a tensor that does not fit is a bad tensor', () => {
  test.each([
    ['another shape', frame([1, 28, 28], blank), 'input "input" has shape [1,28,28]; the model takes [1,28,28,1]'],
    ['too few numbers', frame([1, 28, 28, 1], [1]), 'has 1 numbers for shape [1,28,28,1]'],
    ['a missing input', json({ inputs: {} }), 'input "input" is missing'],
    [
      'another input',
      json({ inputs: { input: { shape: [1, 28, 28, 1], data: blank }, x: { shape: [], data: [] } } }),
      'no input "x"',
    ],
    ['a nested list', frame([2, 2], [[1], [2]]), 'must have a "shape" and a flat list'],
    ['null for NaN', frame([1, 28, 28, 1], [...blank.slice(1), null]), 'a flat list of numbers'],
    ['no inputs', json({ samples: [1] }), 'the frame must be {"inputs"'],
    ['prototype names', Buffer.from('{"inputs":{"__proto__":{"shape":[1],"data":[1]}}}'), 'no input "__proto__"'],
  ])('%s', async (_, data, message) => {
    const model = await opened(await plainTensorModel())
    const failure = await failureOf(model, 'application/json', data)
    expect(failure).toContain(message)
    expect(failure).toMatch(/^bad-tensor: /)
  })

  test('raw bytes of another length, or with NaN in them', async () => {
    const model = await opened(await plainTensorModel())
    expect(await failureOf(model, 'application/octet-stream', Buffer.alloc(100))).toBe(
      'bad-tensor: the frame has 100 bytes; float32 [1,28,28,1] has 3136',
    )
    const poisoned = Buffer.from(Float32Array.from(blank).fill(Number.NaN, 5, 6).buffer)
    expect(await failureOf(model, 'application/octet-stream', poisoned)).toMatch(/^bad-tensor: .* has NaN or infinity/)
  })

  test('a value outside its integer type', async () => {
    const plain = await plainTensorModel()
    const input = { name: 'input', dtype: 'uint8' as const, shape: [4] }
    const prepare = createTensorTask({ ...(plain.manifest as Extract<Manifest, { task: 'tensor' }>), inputs: [input] })
    for (const data of [
      [0, 0, 0, 256],
      [0, 0, 0, -1],
      [0, 0, 0, 0.5],
    ])
      await expect(prepare({ contentType: 'application/json', data: frame([4], data) })).rejects.toThrow('not a uint8')
    await expect(prepare({ contentType: 'application/json', data: frame([4], [0, 1, 2, 255]) })).resolves.toBeDefined()
  })
})

test('JSON that is none, and media, are bad frames', async () => {
  const model = await opened(await plainTensorModel())
  expect(await failureOf(model, 'application/json', Buffer.from('{"inputs":'))).toMatch(
    /^bad-frame: the frame is not JSON/,
  )
  expect(await failureOf(model, 'application/json', Buffer.from('[1]'))).toMatch(/^bad-frame: .* not an object/)
  expect(await failureOf(model, 'image/jpeg', Buffer.from([0xff, 0xd8, 0xff]))).toMatch(
    /^bad-frame: fashion takes application\/json or application\/octet-stream, not image\/jpeg/,
  )
})

test('a series takes exactly its window of numbers', async () => {
  const model = await opened(await shipped('vibration-ae'))
  expect(await failureOf(model, 'application/json', json({ samples: blank }))).toBe(
    'bad-tensor: vibration-ae takes 1024 samples taken at 12800 Hz; the frame has 784',
  )
  expect(await failureOf(model, 'application/json', json({ samples: ['a'] }))).toMatch(/^bad-tensor: /)
  expect(await failureOf(model, 'audio/wav', Buffer.from('RIFF'))).toMatch(/^bad-frame: vibration-ae takes JSON/)
})

test('a number too large for the model’s floats does not come out as a score', async () => {
  const model = await opened(await shipped('vibration-ae'))
  const samples = new Array(1024).fill(1e308)
  expect(await failureOf(model, 'application/json', json({ samples }))).toMatch(/^bad-tensor: /)
})

describe('a manifest that does not describe its file is refused when the model is opened', () => {
  test.each([
    ['another shape', { shape: [1, 29, 28, 1] }, 'input "input" is float32 [1,28,28,1] in the model'],
    ['another name', { name: 'image' }, 'input "image" is not in the model (it has input)'],
    ['another type', { dtype: 'float64' }, 'float64 [1,28,28,1] in the manifest'],
  ])('%s', async (_, change, message) => {
    const plain = await plainTensorModel()
    const tensor = plain.manifest as Extract<Manifest, { task: 'tensor' }>
    const inputs = [{ ...tensor.inputs[0]!, ...change }] as typeof tensor.inputs
    const opening = openModel({ ...plain, manifest: { ...tensor, inputs } }, { intraOpThreads: 1, maxPixels: 1 })
    await expect(opening).rejects.toThrow(message)
  })

  test('an output that is not there', async () => {
    const plain = await plainTensorModel()
    const manifest = { ...plain.manifest, output: { format: 'raw', names: ['logits'] } } as Manifest
    const opening = openModel({ ...plain, manifest }, { intraOpThreads: 1, maxPixels: 1 })
    await expect(opening).rejects.toThrow('output "logits" is not in the model')
  })

  test('bytes that changed since the catalog was read', async () => {
    const plain = await plainTensorModel()
    const opening = openModel({ ...plain, sha256: '0'.repeat(64) }, { intraOpThreads: 1, maxPixels: 1 })
    await expect(opening).rejects.toThrow('has changed')
  })
})
