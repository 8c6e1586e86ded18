import fc from 'fast-check'
import { expect, test } from 'vitest'
import { split } from '../../console/rewards/split.ts'

test('the parts add up to the price, are never negative, and the owner gets the remainder', () => {
  const shares = fc
    .tuple(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }))
    .filter(([fee, royalty]) => fee + royalty <= 10_000)
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 62n }), shares, (price, [feeBps, royaltyBps]) => {
      const { owner, fee, royalty } = split(price, { feeBps, royaltyBps })
      expect(owner + fee + royalty).toBe(price)
      expect(owner >= 0n && fee >= 0n && royalty >= 0n).toBe(true)
      expect(fee * 10_000n <= price * BigInt(feeBps)).toBe(true)
      expect(royalty * 10_000n <= price * BigInt(royaltyBps)).toBe(true)
    }),
  )
})

test('a price of one unit is the owner’s whole', () => {
  expect(split(1n, { feeBps: 1000, royaltyBps: 500 })).toEqual({ owner: 1n, fee: 0n, royalty: 0n })
})

test('shares that exceed the whole or are no basis points are refused', () => {
  for (const shares of [
    { feeBps: 9000, royaltyBps: 1001 },
    { feeBps: -1, royaltyBps: 0 },
    { feeBps: 0.5, royaltyBps: 0 },
  ])
    expect(() => split(1n, shares)).toThrow(RangeError)
  expect(() => split(-1n, { feeBps: 0, royaltyBps: 0 })).toThrow(RangeError)
})
