// Non-maximum suppression: of boxes of one class that overlap too much, only the best is kept.

export interface Candidate {
  readonly index: number
  readonly score: number
  /** x1, y1, x2, y2 */
  readonly box: readonly [number, number, number, number]
  /** Its place among the model's boxes: breaks ties between equal scores. */
  readonly order: number
}

const area = ([x1, y1, x2, y2]: Candidate['box']): number => Math.max(0, x2 - x1) * Math.max(0, y2 - y1)

export function overlap(a: Candidate['box'], b: Candidate['box']): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0])
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1])
  if (width <= 0 || height <= 0) return 0
  const union = area(a) + area(b) - width * height
  // Sides small enough to underflow have no area.
  return union > 0 ? (width * height) / union : 0
}

/** More candidates than this are a broken model or threshold; the best of them are looked at, so the time is bounded. */
const MAX_CANDIDATES = 1000

/** Per class, best first; at most `maxObjects` in all. */
export function suppress(candidates: readonly Candidate[], iou: number, maxObjects: number): Candidate[] {
  const sorted = candidates.toSorted((a, b) => b.score - a.score || a.order - b.order).slice(0, MAX_CANDIDATES)
  const kept: Candidate[] = []
  for (const candidate of sorted) {
    if (kept.length === maxObjects) break
    if (!kept.some((k) => k.index === candidate.index && overlap(k.box, candidate.box) > iou)) kept.push(candidate)
  }
  return kept
}
