// Raw output tensors as JSON numbers, for models whose meaning only the requester knows.
import type { Prediction } from '../../../broker/protocol/messages.ts'
import { RunFailure } from '../failure.ts'
import type { Tensors } from '../session.ts'

function numbersOf(name: string, data: ArrayLike<number | bigint>): number[] {
  const numbers = Array.from(data, Number)
  if (!numbers.every(Number.isFinite))
    throw new RunFailure('model-failed', `the model answered NaN or infinity in "${name}"`)
  return numbers
}

export function listTensors(outputs: Tensors, names: readonly string[]): Prediction {
  return {
    kind: 'tensor',
    outputs: names.map((name) => {
      const tensor = outputs[name]
      if (!tensor) throw new RunFailure('model-failed', `the model did not answer "${name}"`)
      return { name, type: tensor.type, shape: [...tensor.shape], data: numbersOf(name, tensor.data) }
    }),
  }
}
