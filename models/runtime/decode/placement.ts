// Which part of a picture lands where in the model's input, and the way back for boxes.
import type { ImageInput } from '../../manifest.ts'

export interface Rect {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Whole pixels both. Outside `target` the input is padding. */
export interface Placement {
  readonly frame: { readonly width: number; readonly height: number }
  readonly input: { readonly width: number; readonly height: number }
  readonly source: Rect
  readonly target: Rect
}

const whole = (width: number, height: number): Rect => ({ x: 0, y: 0, width, height })

export function placementOf(
  resize: ImageInput['resize'],
  frame: Placement['frame'],
  input: Placement['input'],
): Placement {
  const all = whole(frame.width, frame.height)
  const full = whole(input.width, input.height)
  if (resize.mode === 'stretch') return { frame, input, source: all, target: full }
  const [sx, sy] = [input.width / frame.width, input.height / frame.height]
  if (resize.mode === 'letterbox') {
    const scale = Math.min(sx, sy)
    const width = Math.max(1, Math.round(frame.width * scale))
    const height = Math.max(1, Math.round(frame.height * scale))
    const target = { x: (input.width - width) >> 1, y: (input.height - height) >> 1, width, height }
    return { frame, input, source: all, target }
  }
  const scale = Math.max(sx, sy)
  const width = Math.max(1, Math.min(frame.width, Math.round(input.width / scale)))
  const height = Math.max(1, Math.min(frame.height, Math.round(input.height / scale)))
  const source = { x: (frame.width - width) >> 1, y: (frame.height - height) >> 1, width, height }
  return { frame, input, source, target: full }
}

const clamp = (v: number): number => Math.min(1, Math.max(0, v))

/** A point given as fractions of the model's input, as clamped fractions of the frame. */
export function toFrame({ frame, input, source, target }: Placement, x: number, y: number): [number, number] {
  return [
    clamp((source.x + ((x * input.width - target.x) * source.width) / target.width) / frame.width),
    clamp((source.y + ((y * input.height - target.y) * source.height) / target.height) / frame.height),
  ]
}
