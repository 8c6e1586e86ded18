import { hash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  createAudit,
  createFrontier,
  FIRST_HEAD,
  leafHash,
  nextHead,
  rootFromPath,
} from '../../console/rewards/merkle.ts'
import { leafOf } from '../../console/rewards/receipt-facts.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const rootOf = (leaves: readonly Uint8Array[]): Uint8Array => {
  const tree = createFrontier()
  for (const leaf of leaves) tree.add(leaf)
  return tree.root()
}
const sha256 = (...parts: Uint8Array[]): Buffer => hash('sha256', Buffer.concat(parts), 'buffer')

/** MTH of RFC 6962, 2.1, word by word. */
function mth(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0]!
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return sha256(Buffer.of(1), mth(leaves.slice(0, k)), mth(leaves.slice(k)))
}

const leaves = (count: number) => Array.from({ length: count }, (_, i) => leafHash(`leaf ${i}`))

test('a tree over the inputs of the Certificate Transparency tests has the roots published there', () => {
  // certificate-transparency-go, merkle test vectors.
  const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
  const hashes = inputs.map((input) => leafHash(Buffer.from(input, 'hex').toString('latin1')))
  expect(hex(hashes[0]!)).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d')
  expect(hex(rootOf(hashes.slice(0, 2)))).toBe('fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125')
  expect(hex(rootOf(hashes.slice(0, 7)))).toBe('ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c')
  expect(hex(rootOf(hashes))).toBe('5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328')
})

test('for every size the root is that of the recursive definition, and every leaf has a path that leads to it', () => {
  for (let size = 1; size <= 40; size++) {
    const all = leaves(size)
    const root = rootOf(all)
    expect(hex(root)).toBe(hex(mth(all)))
    for (let index = 0; index < size; index++) {
      const audit = createAudit(index, size)
      for (const leaf of all) audit.add(leaf)
      expect(hex(rootFromPath(all[index]!, audit.path()))).toBe(hex(root))
    }
  }
})

test('no other leaf, and no path with one bit changed, leads to the root', () => {
  const place = fc.integer({ min: 2, max: 300 }).chain((size) => fc.tuple(fc.constant(size), fc.nat(size - 1)))
  fc.assert(
    fc.property(place, fc.nat(), fc.nat(255), ([size, index], at, bit) => {
      const all = leaves(size)
      const audit = createAudit(index, size)
      for (const leaf of all) audit.add(leaf)
      const path = audit.path()
      const root = hex(rootOf(all))
      expect(hex(rootFromPath(all[(index + 1) % size]!, path))).not.toBe(root)
      const step = path[at % path.length]!
      const beside = 'left' in step ? step.left : step.right
      beside[bit >> 3]! ^= 1 << (bit & 7)
      expect(hex(rootFromPath(all[index]!, path))).not.toBe(root)
      beside[bit >> 3]! ^= 1 << (bit & 7)
      const otherSide = path.map((one) =>
        one !== step ? one : 'left' in one ? { right: one.left } : { left: one.right },
      )
      expect(hex(rootFromPath(all[index]!, otherSide))).not.toBe(root)
    }),
    { numRuns: 60 },
  )
})

test('a tree without leaves, a leaf that is not there and a path before all leaves passed by are refused', () => {
  expect(() => createFrontier().root()).toThrow(RangeError)
  for (const [index, size] of [
    [0, 0],
    [3, 3],
    [-1, 3],
    [0.5, 3],
  ] as const)
    expect(() => createAudit(index, size)).toThrow(RangeError)
  const audit = createAudit(0, 2)
  audit.add(leaves(1)[0]!)
  expect(() => audit.path()).toThrow('1 of 2')
})

test('a head stands for its epoch, its root and the head before', () => {
  const root = rootOf(leaves(3))
  const head = nextHead(FIRST_HEAD, 1, root)
  expect(hex(head)).toBe(hex(sha256(Buffer.of(2), Buffer.alloc(32), Buffer.from('0000000000000001', 'hex'), root)))
  const others = [nextHead(head, 1, root), nextHead(FIRST_HEAD, 2, root), nextHead(FIRST_HEAD, 1, leaves(1)[0]!)]
  expect(new Set([head, ...others].map(hex)).size).toBe(4)
})

test('the leaf of a receipt is the hash of its facts in order, however they were written down', () => {
  const digest = 'ab'.repeat(32)
  const facts = {
    task: 't',
    seq: 1,
    owner: 'o',
    output: digest,
    ms: 1.5,
    model: digest,
    input: digest,
    idx: 0,
    id: 7,
    device: 'd',
    chain: 'c',
    at: 5,
    amount: '85',
  }
  const text =
    `{"amount":"85","at":5,"chain":"c","device":"d","id":7,"idx":0,"input":"${digest}","model":"${digest}",` +
    `"ms":1.5,"output":"${digest}","owner":"o","seq":1,"task":"t"}`
  expect(hex(leafOf(facts))).toBe(hex(sha256(Buffer.of(0), Buffer.from(text))))
})
