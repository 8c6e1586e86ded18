// The JSON forms of a frame, checked by hand: zod would cost the inference process megabytes for these two shapes.
import { messageOf, RunFailure } from '../failure.ts'

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)

const isNumbers = (v: unknown): v is number[] => Array.isArray(v) && v.every((n) => typeof n === 'number')

function parse(data: Uint8Array): Record<string, unknown> {
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'))
  } catch (error) {
    throw new RunFailure('bad-frame', `the frame is not JSON: ${messageOf(error)}`, error)
  }
  if (!isRecord(json)) throw new RunFailure('bad-frame', 'the frame is JSON but not an object')
  return json
}

/** `{"samples":[…]}` */
export function readSamples(data: Uint8Array): readonly number[] {
  const { samples } = parse(data)
  if (!isNumbers(samples))
    throw new RunFailure('bad-tensor', 'the frame must be {"samples":[…]} with a list of numbers')
  return samples
}

export interface JsonTensor {
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

/** `{"inputs":{"name":{"shape":[…],"data":[…]}}}` */
export function readInputs(data: Uint8Array): ReadonlyMap<string, JsonTensor> {
  const { inputs } = parse(data)
  if (!isRecord(inputs))
    throw new RunFailure('bad-tensor', 'the frame must be {"inputs":{"name":{"shape":[…],"data":[…]}}}')
  const tensors = new Map<string, JsonTensor>()
  for (const [name, tensor] of Object.entries(inputs)) {
    if (!isRecord(tensor) || !isNumbers(tensor['shape']) || !isNumbers(tensor['data']))
      throw new RunFailure('bad-tensor', `input "${name}" must have a "shape" and a flat list of numbers "data"`)
    tensors.set(name, { shape: tensor['shape'], data: tensor['data'] })
  }
  return tensors
}
