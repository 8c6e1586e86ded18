// Fills transactions: lines in their order, as many into each as it holds.

/** So many as `holds` says, one at least, looked for from `from` on; fewer must be held wherever more are. */
export function most(from: number, holds: (count: number) => boolean): number {
  let count = from
  while (holds(count + 1)) count += 1
  while (count > 1 && !holds(count)) count -= 1
  return count
}

/**
 * `fits` says whether these lines make a transaction that can be sent; fewer of them must fit wherever more do. A line that
 * fits nowhere stands alone. Asked some three times per transaction: it starts at the count of the one before.
 */
export function fill<T>(lines: readonly T[], fits: (lines: readonly T[]) => boolean): T[][] {
  const batches: T[][] = []
  let count = 1
  for (let at = 0; at < lines.length; at += count) {
    count = most(count, (size) => size <= lines.length - at && fits(lines.slice(at, at + size)))
    batches.push(lines.slice(at, at + count))
  }
  return batches
}
