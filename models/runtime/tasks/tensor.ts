// Plain tensor models: named tensors in, named tensors out, nothing known of their meaning.
import type { AnyInput, ManifestOf, TensorType } from '../../manifest.ts'
import { createDigest } from '../digest.ts'
import { RunFailure } from '../failure.ts'
import { listTensors } from '../outputs/tensor.ts'
import type { RawTensor, TensorData } from '../session.ts'
import { type JsonTensor, readInputs } from './json.ts'
import type { InputFrame, Prepare } from './prepared.ts'

const FROM_NUMBERS = {
  float32: (data) => Float32Array.from(data),
  float64: (data) => Float64Array.from(data),
  uint8: (data) => Uint8Array.from(data),
  int8: (data) => Int8Array.from(data),
  uint16: (data) => Uint16Array.from(data),
  int16: (data) => Int16Array.from(data),
  uint32: (data) => Uint32Array.from(data),
  int32: (data) => Int32Array.from(data),
  int64: (data) => BigInt64Array.from(data, BigInt),
  bool: (data) => Uint8Array.from(data, (v) => (v === 0 ? 0 : 1)),
} as const satisfies Record<TensorType, (data: readonly number[]) => TensorData>

const FROM_BYTES = {
  float32: (bytes) => new Float32Array(bytes),
  float64: (bytes) => new Float64Array(bytes),
  uint8: (bytes) => new Uint8Array(bytes),
  int8: (bytes) => new Int8Array(bytes),
  uint16: (bytes) => new Uint16Array(bytes),
  int16: (bytes) => new Int16Array(bytes),
  uint32: (bytes) => new Uint32Array(bytes),
  int32: (bytes) => new Int32Array(bytes),
  int64: (bytes) => new BigInt64Array(bytes),
  bool: (bytes) => new Uint8Array(bytes).map((v) => (v === 0 ? 0 : 1)),
} as const satisfies Record<TensorType, (bytes: ArrayBuffer) => TensorData>

const size = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1)
const text = (shape: readonly number[]): string => `[${shape.join(',')}]`

const isShape = (shape: readonly number[], wanted: readonly number[]): boolean =>
  shape.length === wanted.length &&
  shape.every((n, i) => Number.isInteger(n) && n > 0 && (wanted[i] === -1 || wanted[i] === n))

/** Integer types must hold every value as it is: 256 would silently become 0. Floats are rounded to their precision. */
function castTo(name: string, dtype: TensorType, numbers: readonly number[]): TensorData {
  const isFloat = dtype.startsWith('float')
  if (isFloat || numbers.every(Number.isSafeInteger)) {
    const data = FROM_NUMBERS[dtype](numbers)
    if (numbers.every((v, i) => (isFloat ? Number.isFinite(data[i]) : Number(data[i]) === v))) return data
  }
  throw new RunFailure('bad-tensor', `input "${name}" has a value that is not a ${dtype}`)
}

function toTensor({ name, dtype, shape }: AnyInput, given: JsonTensor | undefined): RawTensor {
  if (!given) throw new RunFailure('bad-tensor', `input "${name}" is missing`)
  if (!isShape(given.shape, shape))
    throw new RunFailure('bad-tensor', `input "${name}" has shape ${text(given.shape)}; the model takes ${text(shape)}`)
  if (given.data.length !== size(given.shape))
    throw new RunFailure(
      'bad-tensor',
      `input "${name}" has ${given.data.length} numbers for shape ${text(given.shape)}`,
    )
  return { type: dtype, shape: given.shape, data: castTo(name, dtype, given.data) }
}

function fromJson(inputs: readonly AnyInput[], data: Uint8Array): Record<string, RawTensor> {
  const given = readInputs(data)
  const unknown = [...given.keys()].find((name) => !inputs.some((input) => input.name === name))
  if (unknown !== undefined) throw new RunFailure('bad-tensor', `the model has no input "${unknown}"`)
  return Object.fromEntries(inputs.map((input) => [input.name, toTensor(input, given.get(input.name))]))
}

function fromBytes([input]: readonly AnyInput[], data: Uint8Array): Record<string, RawTensor> {
  if (!input) return {}
  // A copy: the bytes need not lie at a multiple of the element's size.
  const bytes = new Uint8Array(data).buffer
  const wanted = size(input.shape) * FROM_NUMBERS[input.dtype]([0]).BYTES_PER_ELEMENT
  if (bytes.byteLength !== wanted)
    throw new RunFailure(
      'bad-tensor',
      `the frame has ${bytes.byteLength} bytes; ${input.dtype} ${text(input.shape)} has ${wanted}`,
    )
  const tensor = FROM_BYTES[input.dtype](bytes)
  if (!Array.from<number | bigint>(tensor).every((v) => typeof v === 'bigint' || Number.isFinite(v)))
    throw new RunFailure('bad-tensor', `input "${input.name}" has NaN or infinity in it`)
  return { [input.name]: { type: input.dtype, shape: input.shape, data: tensor } }
}

function feedsOf({ id, inputs, accepts }: ManifestOf<'tensor'>, { contentType, data }: InputFrame) {
  if (!accepts.some((type) => type === contentType))
    throw new RunFailure('bad-frame', `${id} takes ${accepts.join(' or ')}, not ${contentType}`)
  return contentType === 'application/json' ? fromJson(inputs, data) : fromBytes(inputs, data)
}

export function createTensorTask(manifest: ManifestOf<'tensor'>): Prepare {
  const { names } = manifest.output
  return async (frame) => {
    const feeds = feedsOf(manifest, frame)
    return {
      async run(session) {
        const outputs = await session.run(feeds, names)
        const digest = createDigest(names)
        digest.add(outputs)
        return { prediction: listTensors(outputs, names), digest: digest.hex() }
      },
      release: () => {},
    }
  }
}
