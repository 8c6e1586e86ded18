// The last picture of each model's stream, for an image in Home Assistant: raw JPEG, at most one a second, never retained.
import type { ContentType } from '../../broker/protocol/envelope.ts'

export interface Images {
  /** A stream frame was answered. */
  answered(model: string, contentType: ContentType, data: Uint8Array): void
}

interface Options {
  /** QoS 0: one that cannot be sent now is worth nothing later. */
  readonly publish: (model: string, jpeg: Uint8Array) => Promise<void>
  /** Milliseconds that never jump. */
  readonly elapsed: () => number
}

const EVERY_MS = 1_000

export function createImages({ publish, elapsed }: Options): Images {
  const lastAt = new Map<string, number>()
  return {
    answered(model, contentType, data) {
      const at = elapsed()
      // The entity's content type is fixed: other pictures are answered and not shown.
      if (contentType !== 'image/jpeg' || at - (lastAt.get(model) ?? Number.NEGATIVE_INFINITY) < EVERY_MS) return
      lastAt.set(model, at)
      publish(model, data).catch(() => {
        // Not connected, or the line is full: the next picture comes by itself.
      })
    },
  }
}
