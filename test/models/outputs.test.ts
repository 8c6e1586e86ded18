import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DetectionOutput } from '../../models/manifest.ts'
import { placementOf } from '../../models/runtime/decode/placement.ts'
import { hear } from '../../models/runtime/outputs/audio.ts'
import { classify } from '../../models/runtime/outputs/classification.ts'
import { detect } from '../../models/runtime/outputs/detection.ts'
import { overlap, suppress } from '../../models/runtime/outputs/nms.ts'
import { judge } from '../../models/runtime/outputs/series.ts'
import { listTensors } from '../../models/runtime/outputs/tensor.ts'
import type { Tensors } from '../../models/runtime/session.ts'

const file = { path: 'labels.json', sha256: '0'.repeat(64), bytes: 1 }

describe('classification', () => {
  const output = { format: 'scores', names: ['out'], classes: 4, topK: 3 } as const
  const pick = (
    raw: number[],
    activation: 'none' | 'softmax' | 'sigmoid',
    background?: number,
    labels = ['a', 'b', 'c', 'd'],
  ) =>
    classify(
      raw,
      {
        output: { ...output, names: ['out'], activation },
        labels: { file, ...(background !== undefined && { background }) },
      },
      labels,
    )

  test('of equal scores the lowest index comes first', () => {
    expect(pick([1, 3, 3, 3], 'none')).toEqual({
      kind: 'classification',
      labels: [
        { label: 'b', index: 1, score: 3 },
        { label: 'c', index: 2, score: 3 },
        { label: 'd', index: 3, score: 3 },
      ],
    })
  })

  test('background takes its share of the softmax and is not reported', () => {
    const answer = pick([2, 2, 0, 0], 'softmax', 0)
    expect(answer).toMatchObject({ labels: [{ label: 'b', score: 0.4404 }, { label: 'c' }, { label: 'd' }] })
  })

  test('a large logit does not overflow, and NaN is the model’s failure', () => {
    expect(pick([1000, 999, 0, 0], 'softmax')).toMatchObject({ labels: [{ label: 'a', score: 0.7311 }, {}, {}] })
    expect(() => pick([Number.NaN, 1, 2, 3], 'softmax')).toThrow('the model answered NaN')
  })
})

describe('detection', () => {
  const labels = ['cat', null, 'dog']
  const frame = { width: 200, height: 100 }
  const shared = {
    classes: 3,
    activation: 'none' as const,
    units: 'pixels' as const,
    scoreThreshold: 0.5,
    nms: { iou: 0.5, maxObjects: 10 },
  }
  const tensor = (shape: number[], data: number[]): Tensors['out'] => ({
    type: 'float32',
    shape,
    data: Float32Array.from(data),
  })
  const see = (output: DetectionOutput, outputs: Tensors, mode: 'stretch' | 'letterbox' = 'stretch') => {
    const placement = placementOf(mode === 'stretch' ? { mode } : { mode, pad: 0 }, frame, { width: 100, height: 100 })
    return detect(outputs, { output, labels: { file } }, labels, placement)
  }

  // Two overlapping cats, a nameless class, a dog on the same spot as the first cat, and one below the threshold.
  const boxes = [
    { at: [50, 50, 20, 20], scores: [0.9, 0, 0] },
    { at: [51, 50, 20, 20], scores: [0.8, 0, 0] },
    { at: [20, 20, 10, 10], scores: [0, 0.9, 0] },
    { at: [50, 50, 20, 20], scores: [0, 0, 0.7] },
    { at: [80, 80, 10, 10], scores: [0.4, 0, 0.4] },
  ]
  const wanted = {
    kind: 'detection',
    objects: [
      { label: 'cat', index: 0, score: 0.9, box: [0.4, 0.4, 0.6, 0.6] },
      { label: 'dog', index: 2, score: 0.7, box: [0.4, 0.4, 0.6, 0.6] },
    ],
  }
  const v5 = (objectness: number) => boxes.flatMap(({ at, scores }) => [...at, objectness, ...scores])
  const v8 = [0, 1, 2, 3, 4, 5, 6].flatMap((row) => boxes.map(({ at, scores }) => [...at, ...scores][row]!))

  test('YOLO v8 keeps one row per coordinate, v5 one row per box: the same boxes give the same answer', () => {
    expect(see({ format: 'yolov8', names: ['out'], ...shared }, { out: tensor([1, 7, 5], v8)! })).toEqual(wanted)
    expect(see({ format: 'yolov5', names: ['out'], ...shared }, { out: tensor([1, 5, 8], v5(1))! })).toEqual(wanted)
  })

  test('objectness lowers the score of YOLO v5, and a box without an object is no candidate', () => {
    const answer = see({ format: 'yolov5', names: ['out'], ...shared }, { out: tensor([1, 5, 8], v5(0.8))! })
    expect(answer).toMatchObject({
      objects: [
        { label: 'cat', score: 0.72 },
        { label: 'dog', score: 0.56 },
      ],
    })
    const nothing = see({ format: 'yolov5', names: ['out'], ...shared }, { out: tensor([1, 5, 8], v5(0.1))! })
    expect(nothing).toEqual({ kind: 'detection', objects: [] })
  })

  test('a tensor of the other family is a failed model, not garbage boxes', () => {
    expect(() => see({ format: 'yolov5', names: ['out'], ...shared }, { out: tensor([1, 7, 5], v8)! })).toThrow(
      'output "out" has 5 columns where the manifest means 8',
    )
  })

  test('letterbox bars are taken off, and boxes are clamped to the frame', () => {
    // The frame is 2:1, so it fills rows 25..75 of the input.
    const one = [50, 50, 200, 50, 1, 0, 0]
    const answer = see({ format: 'yolov8', names: ['out'], ...shared }, { out: tensor([1, 7, 1], one)! }, 'letterbox')
    expect(answer).toMatchObject({ objects: [{ box: [0, 0, 1, 1] }] })
  })

  test.each([
    ['xyxy', [0.1, 0.2, 0.3, 0.4]],
    ['yxyx', [0.2, 0.1, 0.4, 0.3]],
    ['cxcywh', [0.2, 0.3, 0.2, 0.2]],
  ] as const)('SSD corners %s', (corners, box) => {
    const output = {
      format: 'ssd' as const,
      names: ['b', 's'] as [string, string],
      corners,
      ...shared,
      units: 'fraction' as const,
    }
    const outputs = { b: tensor([1, 1, 4], [...box])!, s: tensor([1, 1, 3], [0.9, 0, 0])! }
    expect(see(output, outputs)).toMatchObject({ objects: [{ box: [0.1, 0.2, 0.3, 0.4] }] })
  })

  test('logits pass through a sigmoid where the manifest says so', () => {
    const one = [50, 50, 20, 20, 2, -9, -9]
    const output = { format: 'yolov8' as const, names: ['out'] as [string], ...shared, activation: 'sigmoid' as const }
    expect(see(output, { out: tensor([1, 7, 1], one)! })).toMatchObject({ objects: [{ score: 0.8808 }] })
  })
})

test('of two kept boxes of one class none overlaps the other too much, and the best is always kept', () => {
  const unit = fc.double({ min: 0, max: 1, noNaN: true })
  const candidate = fc.record({
    index: fc.integer({ min: 0, max: 2 }),
    score: unit,
    x: unit,
    y: unit,
    w: unit,
    h: unit,
  })
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 40 }), unit, (found, iou) => {
      const candidates = found.map(({ index, score, x, y, w, h }, order) => ({
        index,
        score,
        order,
        box: [x, y, x + w, y + h] as const,
      }))
      const kept = suppress(candidates, iou, 100)
      for (const [i, a] of kept.entries())
        for (const b of kept.slice(i + 1)) {
          expect(a.score).toBeGreaterThanOrEqual(b.score)
          if (a.index === b.index) expect(overlap(a.box, b.box)).toBeLessThanOrEqual(iou)
        }
      // Whatever is gone was suppressed by a better one of its class.
      for (const c of candidates.filter((one) => !kept.includes(one)))
        expect(kept.some((k) => k.index === c.index && k.score >= c.score && overlap(k.box, c.box) > iou)).toBe(true)
    }),
  )
})

test('windows above the threshold become segments in seconds', () => {
  const manifest = {
    signal: { rate: 1000, channels: 1 as const, window: 100, hop: 50, maxSeconds: 9 },
    output: { format: 'probability' as const, names: ['p'] as [string], label: 'speech', threshold: 0.5 },
  }
  expect(hear([0.1, 0.6, 0.8, 0.5, 0.9], manifest)).toEqual({
    kind: 'audio',
    windowS: 0.05,
    windows: [0.1, 0.6, 0.8, 0.5, 0.9],
    segments: [
      { label: 'speech', startS: 0.05, endS: 0.2, score: 0.7 },
      { label: 'speech', startS: 0.2, endS: 0.3, score: 0.9 },
    ],
  })
})

test('a series score is the reconstruction error or the model’s own number', () => {
  const spec = { names: ['out'] as [string], threshold: 1 }
  expect(judge([0, 0], [1, 2], { format: 'reconstruction', ...spec })).toEqual({
    kind: 'series',
    score: 2.5,
    threshold: 1,
    anomaly: true,
  })
  expect(judge([0, 0], [0.5], { format: 'score', ...spec })).toMatchObject({ score: 0.5, anomaly: false })
  expect(() => judge([0, 0], [1], { format: 'reconstruction', ...spec })).toThrow('the model answered 1 numbers for 2')
})

test('raw tensors are listed in the manifest’s order, 64-bit integers as numbers', () => {
  const outputs: Tensors = {
    b: { type: 'int64', shape: [2], data: BigInt64Array.from([1n, -2n]) },
    a: { type: 'float32', shape: [1, 1], data: Float32Array.from([0.5]) },
  }
  expect(listTensors(outputs, ['a', 'b'])).toEqual({
    kind: 'tensor',
    outputs: [
      { name: 'a', type: 'float32', shape: [1, 1], data: [0.5] },
      { name: 'b', type: 'int64', shape: [2], data: [1, -2] },
    ],
  })
  expect(() => listTensors(outputs, ['c'])).toThrow('did not answer "c"')
})
