// Where a frame, its boxes and their labels lie on the screen: fractions of the frame in, CSS pixels out.
import type { Box } from '../../broker/protocol/messages.ts'

export interface Size {
  readonly width: number
  readonly height: number
}
export interface Rect extends Size {
  readonly x: number
  readonly y: number
}

/** What `object-fit: contain` does: the whole frame inside the view, centred. */
export function placeFrame(view: Size, frame: Size): Rect {
  const scale = Math.min(view.width / frame.width, view.height / frame.height)
  const width = frame.width * scale
  const height = frame.height * scale
  return { x: (view.width - width) / 2, y: (view.height - height) / 2, width, height }
}

const within = (value: number): number => Math.min(1, Math.max(0, value))

/** A box on the placed frame. Corners in any order and outside the frame are put right: models do answer so. */
export function placeBox([x1, y1, x2, y2]: Box, frame: Rect): Rect {
  const left = within(Math.min(x1, x2))
  const top = within(Math.min(y1, y2))
  return {
    x: frame.x + left * frame.width,
    y: frame.y + top * frame.height,
    width: (within(Math.max(x1, x2)) - left) * frame.width,
    height: (within(Math.max(y1, y2)) - top) * frame.height,
  }
}

export const LABEL_HEIGHT = 18
const LETTER_WIDTH = 6.2
const LABEL_PADDING = 10

export const labelWidth = (text: string): number => Math.ceil(text.length * LETTER_WIDTH + LABEL_PADDING)

const overlaps = (a: Rect, b: Rect): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height

/** A label at its box's top left corner, kept inside the view, and moved below every label that it would cover. */
export function placeLabels(boxes: readonly { readonly rect: Rect; readonly text: string }[], view: Size): Rect[] {
  const placed: Rect[] = []
  for (const { rect, text } of boxes) {
    const width = Math.min(labelWidth(text), view.width)
    const x = Math.max(0, Math.min(rect.x, view.width - width))
    let label: Rect = { x, y: Math.max(0, rect.y - LABEL_HEIGHT), width, height: LABEL_HEIGHT }
    // A label only ever moves down, so each other one stops it once at most.
    for (
      let at = placed.find((other) => overlaps(label, other));
      at;
      at = placed.find((other) => overlaps(label, other))
    )
      label = { ...label, y: at.y + at.height + 1 }
    placed.push({ ...label, y: Math.min(label.y, Math.max(0, view.height - LABEL_HEIGHT)) })
  }
  return placed
}
