// The pictures behind the answers: fetched once each, kept as blob URLs while they are likely to be shown, then revoked.
import type { Size } from './boxes.ts'

export interface Picture extends Size {
  readonly url: string
}

/** Enough for every tile on a page and the ones about to replace them. */
const KEPT_PICTURES = 48

export interface FrameSource {
  /** Undefined when the console no longer keeps the frame or it is not a picture. */
  readonly fetchBlob: (task: string) => Promise<Blob | undefined>
  readonly measure: (url: string) => Promise<Size | undefined>
  readonly makeUrl: (blob: Blob) => string
  readonly revokeUrl: (url: string) => void
}

export interface Frames {
  picture(task: string): Promise<Picture | undefined>
  clear(): void
}

export function createFrames({ fetchBlob, measure, makeUrl, revokeUrl }: FrameSource): Frames {
  const kept = new Map<string, Promise<Picture | undefined>>()

  const load = async (task: string): Promise<Picture | undefined> => {
    const blob = await fetchBlob(task)
    if (!blob?.type.startsWith('image/')) return undefined
    const url = makeUrl(blob)
    const size = await measure(url)
    if (size) return { url, ...size }
    revokeUrl(url)
    return undefined
  }

  const drop = (task: string) => {
    const picture = kept.get(task)
    kept.delete(task)
    void picture?.then(
      (gone) => gone && revokeUrl(gone.url),
      () => undefined,
    )
  }

  return {
    picture(task) {
      const known = kept.get(task) ?? load(task)
      // Moved to the end: the map's order is the order of use.
      kept.delete(task)
      kept.set(task, known)
      known.catch(() => kept.get(task) === known && kept.delete(task))
      for (const oldest of kept.keys()) {
        if (kept.size <= KEPT_PICTURES) break
        drop(oldest)
      }
      return known
    },
    clear() {
      for (const task of [...kept.keys()]) drop(task)
    },
  }
}
