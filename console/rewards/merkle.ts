// Merkle trees in the shape of RFC 6962 (Certificate Transparency), and the chain of heads over their roots. Pure.
import { hash } from 'node:crypto'

/** A leaf and an inner node never hash alike, so that no node can pass for a leaf; heads are a third kind. */
const LEAF = '\0'
const NODE = 1
const HEAD = 2

/** What the first head follows. */
export const FIRST_HEAD: Uint8Array = new Uint8Array(32)

/** Of the text as UTF-8. */
export const leafHash = (text: string): Uint8Array => hash('sha256', `${LEAF}${text}`, 'buffer')

/** 0x01 ‖ left ‖ right, written over each time: a close makes one per receipt. */
const node = Buffer.alloc(65, NODE)

function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  node.set(left, 1)
  node.set(right, 33)
  return hash('sha256', node, 'buffer')
}

/** head_n = sha256(0x02 ‖ head_{n-1} ‖ u64be(epoch) ‖ root_n): a head stands for its epoch and all before it. */
export function nextHead(before: Uint8Array, epoch: number, root: Uint8Array): Uint8Array {
  const number = Buffer.alloc(8)
  number.writeBigUInt64BE(BigInt(epoch))
  return hash('sha256', Buffer.concat([Uint8Array.of(HEAD), before, number, root]), 'buffer')
}

export interface Frontier {
  add(leaf: Uint8Array): void
  /** Throws RangeError while there is no leaf. */
  root(): Uint8Array
  readonly size: number
}

/** Takes leaf hashes one after another and keeps only the roots of the whole subtrees so far: log n hashes, not n. */
export function createFrontier(): Frontier {
  const whole: Uint8Array[] = []
  let size = 0
  return {
    add(leaf) {
      let node = leaf
      // As many subtrees become one as the count of leaves ends in ones.
      for (let bits = size; bits % 2 === 1; bits = (bits - 1) / 2) node = nodeHash(whole.pop() ?? node, node)
      whole.push(node)
      size += 1
    },
    root() {
      const last = whole.at(-1)
      if (last === undefined) throw new RangeError('a tree without leaves has no root')
      return whole.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last)
    },
    get size() {
      return size
    },
  }
}

/** Leaves of the left subtree: the largest power of two below `size`. */
const leftSize = (size: number): number => 2 ** Math.ceil(Math.log2(size) - 1)

/** A hash beside the way up, and on which side of it. */
export type Beside = { readonly left: Uint8Array } | { readonly right: Uint8Array }

export interface Audit {
  /** All leaves of the tree, in order, the one in question among them. */
  add(leaf: Uint8Array): void
  /** The hashes beside the way from the leaf up to the root, lowest first (RFC 6962, 2.1.1). */
  path(): Beside[]
}

interface Subtree {
  /** Its leaves end before this one. */
  readonly to: number
  readonly side: 'left' | 'right'
  readonly tree: Frontier
}

/** The subtrees beside the way from leaf `index` of `size` up to the root, lowest first; together they are all other leaves. */
function subtreesBeside(index: number, size: number): Subtree[] {
  const all: Subtree[] = []
  let [from, to] = [0, size]
  while (to - from > 1) {
    const middle = from + leftSize(to - from)
    const isLeft = index < middle
    all.unshift({ to: isLeft ? to : middle, side: isLeft ? 'right' : 'left', tree: createFrontier() })
    if (isLeft) to = middle
    else from = middle
  }
  return all
}

/** Finds the path of one leaf while the leaves pass by: again log n hashes are kept, however large the tree. */
export function createAudit(index: number, size: number): Audit {
  if (!Number.isInteger(index) || index < 0 || index >= size)
    throw new RangeError(`there is no leaf ${index} among ${size}`)
  const beside = subtreesBeside(index, size)
  const inOrder = beside.toSorted((a, b) => a.to - b.to)
  let at = 0
  let next = 0
  return {
    add(leaf) {
      while (inOrder[next] && at >= (inOrder[next]?.to ?? 0)) next += 1
      if (at !== index) inOrder[next]?.tree.add(leaf)
      at += 1
    },
    path() {
      if (at !== size) throw new RangeError(`${at} of ${size} leaves passed by`)
      return beside.map(({ side, tree }) => (side === 'left' ? { left: tree.root() } : { right: tree.root() }))
    },
  }
}

/** The root that a leaf and the hashes beside its way up lead to. */
export const rootFromPath = (leaf: Uint8Array, path: readonly Beside[]): Uint8Array =>
  path.reduce((node, beside) => ('left' in beside ? nodeHash(beside.left, node) : nodeHash(node, beside.right)), leaf)
