// The output tensors of SSD and YOLO-style detectors to named boxes on the frame.
import type { Prediction } from '../../../broker/protocol/messages.ts'
import type { DetectionOutput, ManifestOf } from '../../manifest.ts'
import { type Placement, toFrame } from '../decode/placement.ts'
import { RunFailure } from '../failure.ts'
import type { RawTensor, Tensors } from '../session.ts'
import { sigmoid } from './classification.ts'
import { type Candidate, suppress } from './nms.ts'
import { rounded } from './round.ts'

type Corners = readonly [number, number, number, number]

/** Where boxes and class scores stand in the output tensors. */
interface Reader {
  readonly count: number
  box(i: number): Corners
  /** The raw score of class c for box i is `scores[scoresAt + i * boxStride + c * classStride]`. */
  readonly scores: Float32Array
  readonly scoresAt: number
  readonly boxStride: number
  readonly classStride: number
  /** Raw probability that box i holds anything, in the formats that have it. */
  readonly objectness?: (i: number) => number
}

function tensorOf(outputs: Tensors, name: string, rank: number): RawTensor & { data: Float32Array } {
  const tensor = outputs[name]
  if (!tensor || !(tensor.data instanceof Float32Array) || tensor.shape.length !== rank || tensor.shape[0] !== 1)
    throw new RunFailure('model-failed', `output "${name}" is not a float32 tensor [1, …] of rank ${rank}`)
  return { ...tensor, data: tensor.data }
}

function expectSize(name: string, actual: number | undefined, wanted: number): void {
  if (actual !== wanted)
    throw new RunFailure('model-failed', `output "${name}" has ${actual} columns where the manifest means ${wanted}`)
}

const centred = (cx: number, cy: number, w: number, h: number): Corners => [
  cx - w / 2,
  cy - h / 2,
  cx + w / 2,
  cy + h / 2,
]

function ssdReader(outputs: Tensors, output: DetectionOutput & { format: 'ssd' }): Reader {
  const [boxesName, scoresName] = output.names
  const [boxes, scores] = [tensorOf(outputs, boxesName, 3), tensorOf(outputs, scoresName, 3)]
  expectSize(boxesName, boxes.shape[2], 4)
  expectSize(scoresName, scores.shape[2], output.classes)
  expectSize(scoresName, scores.shape[1], boxes.shape[1] ?? 0)
  return {
    count: boxes.shape[1] ?? 0,
    box(i) {
      const [a, b, c, d] = boxes.data.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number]
      if (output.corners === 'xyxy') return [a, b, c, d]
      return output.corners === 'yxyx' ? [b, a, d, c] : centred(a, b, c, d)
    },
    scores: scores.data,
    scoresAt: 0,
    boxStride: output.classes,
    classStride: 1,
  }
}

/** v8 keeps one row per coordinate and class, [1,4+C,N]; v5 one row per box, [1,N,5+C]. */
function yoloReader(outputs: Tensors, output: DetectionOutput & { format: 'yolov8' | 'yolov5' }): Reader {
  const [name] = output.names
  const { data, shape } = tensorOf(outputs, name, 3)
  const isV8 = output.format === 'yolov8'
  const [count, columns] = isV8 ? [shape[2] ?? 0, shape[1] ?? 0] : [shape[1] ?? 0, shape[2] ?? 0]
  const first = isV8 ? 4 : 5
  expectSize(name, columns, first + output.classes)
  const [boxStride, classStride] = isV8 ? [1, count] : [columns, 1]
  const at = (i: number, column: number): number => data[i * boxStride + column * classStride] as number
  return {
    count,
    box: (i) => centred(at(i, 0), at(i, 1), at(i, 2), at(i, 3)),
    scores: data,
    scoresAt: first * classStride,
    boxStride,
    classStride,
    ...(!isV8 && { objectness: (i: number) => at(i, 4) }),
  }
}

const activate = (v: number, activation: 'none' | 'sigmoid'): number => (activation === 'sigmoid' ? sigmoid(v) : v)

/** A raw score below this cannot reach the threshold: nearly all are ruled out by one comparison. */
function rawThreshold({ activation, scoreThreshold: t }: DetectionOutput): number {
  return activation === 'sigmoid' ? Math.log(t / (1 - t)) - 1e-6 : t
}

function candidatesOf(reader: Reader, output: DetectionOutput, isReported: readonly boolean[]): Candidate[] {
  const { scores, scoresAt, boxStride, classStride } = reader
  const floor = rawThreshold(output)
  const found: Candidate[] = []
  for (let i = 0; i < reader.count; i++)
    for (let c = 0, at = scoresAt + i * boxStride; c < output.classes; c++, at += classStride) {
      const raw = scores[at] as number
      if (raw < floor || !isReported[c]) continue
      const objectness = reader.objectness ? activate(reader.objectness(i), output.activation) : 1
      const score = objectness * activate(raw, output.activation)
      // NaN is below nothing, so it arrives here and is told apart from "no objects".
      if (Number.isNaN(score)) throw new RunFailure('model-failed', 'the model answered NaN')
      if (score >= output.scoreThreshold) found.push({ index: c, score, box: reader.box(i), order: i })
    }
  return found
}

/** Boxes come as fractions of the frame, clamped to it; scores at or above the threshold; best first. */
export function detect(
  outputs: Tensors,
  { output, labels: { background } }: Pick<ManifestOf<'detection'>, 'output' | 'labels'>,
  labels: readonly (string | null)[],
  placement: Placement,
): Prediction {
  const reader = output.format === 'ssd' ? ssdReader(outputs, output) : yoloReader(outputs, output)
  const isReported = labels.map((label, index) => label !== null && index !== background)
  const { width, height } = placement.input
  const [sx, sy] = output.units === 'pixels' ? [1 / width, 1 / height] : [1, 1]
  const kept = suppress(candidatesOf(reader, output, isReported), output.nms.iou, output.nms.maxObjects)
  return {
    kind: 'detection',
    objects: kept.map(({ index, score, box: [x1, y1, x2, y2] }) => {
      const [left, top] = toFrame(placement, x1 * sx, y1 * sy)
      const [right, bottom] = toFrame(placement, x2 * sx, y2 * sy)
      const box: [number, number, number, number] = [rounded(left), rounded(top), rounded(right), rounded(bottom)]
      return { label: labels[index] ?? '', index, score: rounded(score), box }
    }),
  }
}
