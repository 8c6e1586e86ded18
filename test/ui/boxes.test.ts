import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Box } from '../../broker/protocol/messages.ts'
import { LABEL_HEIGHT, placeBox, placeFrame, placeLabels, type Rect } from '../../console/ui/boxes.ts'

const apart = (a: Rect, b: Rect): boolean =>
  a.x >= b.x + b.width || b.x >= a.x + a.width || a.y >= b.y + b.height || b.y >= a.y + a.height

describe('a frame in its view', () => {
  it('is whole and centred, with bars where its shape differs', () => {
    expect(placeFrame({ width: 400, height: 300 }, { width: 480, height: 480 })).toEqual({
      x: 50,
      y: 0,
      width: 300,
      height: 300,
    })
    expect(placeFrame({ width: 400, height: 300 }, { width: 800, height: 300 })).toEqual({
      x: 0,
      y: 75,
      width: 400,
      height: 150,
    })
  })
})

describe('a box on its frame', () => {
  const frame: Rect = { x: 50, y: 10, width: 200, height: 100 }

  it('lies where its fractions say', () => {
    expect(placeBox([0.25, 0.1, 0.75, 0.6], frame)).toEqual({ x: 100, y: 20, width: 100, height: 50 })
  })

  it('never leaves the frame, whatever a model answers', () => {
    const anyBox = fc.tuple(...Array.from({ length: 4 }, () => fc.double({ min: -2, max: 3, noNaN: true })))
    fc.assert(
      fc.property(anyBox, (box) => {
        const { x, y, width, height } = placeBox(box as Box, frame)
        expect(Math.min(width, height)).toBeGreaterThanOrEqual(0)
        expect(x).toBeGreaterThanOrEqual(frame.x)
        expect(y).toBeGreaterThanOrEqual(frame.y)
        expect(x + width).toBeLessThanOrEqual(frame.x + frame.width + 1e-9)
        expect(y + height).toBeLessThanOrEqual(frame.y + frame.height + 1e-9)
      }),
    )
  })
})

describe('labels', () => {
  const view = { width: 400, height: 2000 }
  const anyLabel = fc.record({
    text: fc.string({ minLength: 1, maxLength: 30 }),
    rect: fc.record({
      x: fc.integer({ min: 0, max: 400 }),
      y: fc.integer({ min: 0, max: 600 }),
      width: fc.constant(50),
      height: fc.constant(50),
    }),
  })

  it('stay inside the view and cover no other label', () => {
    fc.assert(
      fc.property(fc.array(anyLabel, { maxLength: 20 }), (boxes) => {
        const labels = placeLabels(boxes, view)
        for (const [n, label] of labels.entries()) {
          expect(label.x).toBeGreaterThanOrEqual(0)
          expect(label.x + label.width).toBeLessThanOrEqual(view.width)
          expect(labels.slice(0, n).every((other) => apart(label, other))).toBe(true)
        }
      }),
    )
  })

  it('sit on top of their box, or inside it at the upper edge', () => {
    const [above, inside] = placeLabels(
      [
        { text: 'cup', rect: { x: 10, y: 100, width: 50, height: 50 } },
        { text: 'table', rect: { x: 200, y: 0, width: 50, height: 50 } },
      ],
      view,
    )
    expect(above).toMatchObject({ x: 10, y: 100 - LABEL_HEIGHT })
    expect(inside).toMatchObject({ x: 200, y: 0 })
  })
})
