// How the price of one answer is shared. Fee and royalty are rounded down and the owner gets the remainder, so the three
// parts always add up to the price to the last unit.

export interface Shares {
  /** Operator's fee in basis points (1/10,000) of the price. */
  readonly feeBps: number
  /** Model publisher's royalty in basis points of the price. */
  readonly royaltyBps: number
}

export interface Split {
  readonly owner: bigint
  readonly fee: bigint
  readonly royalty: bigint
}

const WHOLE = 10_000

const isShare = (bps: number): boolean => Number.isInteger(bps) && bps >= 0 && bps <= WHOLE

/** Throws RangeError for a negative price, or shares that are no whole basis points or exceed the whole. */
export function split(price: bigint, { feeBps, royaltyBps }: Shares): Split {
  if (price < 0n) throw new RangeError(`a price of ${price} cannot be split`)
  if (!isShare(feeBps) || !isShare(royaltyBps) || feeBps + royaltyBps > WHOLE)
    throw new RangeError(`a fee of ${feeBps} and a royalty of ${royaltyBps} basis points do not fit into ${WHOLE}`)
  const fee = (price * BigInt(feeBps)) / BigInt(WHOLE)
  const royalty = (price * BigInt(royaltyBps)) / BigInt(WHOLE)
  return { owner: price - fee - royalty, fee, royalty }
}
