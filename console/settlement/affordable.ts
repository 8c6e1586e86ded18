// How many batches the treasury can carry right now, and the sentence that says why not more.
import type { OpenBatch } from './book.ts'
import type { Funds, PayoutChain } from './payer.ts'

/** An account below this is swept from the chain: rent exemption of 0 bytes. */
const KEEP_LAMPORTS = 890_880n

export interface Affordable {
  readonly batches: readonly OpenBatch[]
  /** Why the rest must wait, with the numbers and what to do. */
  readonly shortage: string | undefined
}

export const unitsOf = ({ lines }: Pick<OpenBatch, 'lines'>): bigint =>
  lines.reduce((sum, { units }) => sum + units, 0n)

/** In their order, until the first that does not fit. `inFlight` may or may not have left the treasury yet. */
export function affordable(
  wanted: readonly OpenBatch[],
  inFlight: readonly OpenBatch[],
  funds: Funds,
  chain: Pick<PayoutChain, 'treasury' | 'feePayer' | 'feeLamports'>,
): Affordable {
  const reserved = inFlight.reduce((sum, batch) => sum + unitsOf(batch), 0n)
  let tokens = funds.tokenUnits - reserved
  let lamports = funds.lamports - KEEP_LAMPORTS
  for (const { rentLamports } of inFlight) lamports -= chain.feeLamports + rentLamports
  const without = new Set(funds.without)
  const batches: OpenBatch[] = []
  const short = (sentence: string): Affordable => ({ batches, shortage: `payouts wait: ${sentence}` })
  for (const batch of wanted) {
    const made = new Set(batch.lines.map(({ wallet }) => wallet)).intersection(without)
    const marker = batch.marker === null ? 0n : funds.markerRent
    const cost = chain.feeLamports + marker + BigInt(made.size) * funds.accountRent
    const units = unitsOf(batch)
    if (units > tokens)
      return short(
        `the treasury holds ${funds.tokenUnits} base units of the token, ${reserved} of them on their way, ` +
          `and the next batch needs ${units}; send tokens to ${chain.treasury}`,
      )
    if (cost > lamports)
      return short(
        `${chain.feePayer} holds ${funds.lamports} lamports for fees, markers and new token accounts ` +
          `and the next batch needs ${cost} of what is free, which is ${lamports}; send SOL to ${chain.feePayer}`,
      )
    tokens -= units
    lamports -= cost
    for (const wallet of made) without.delete(wallet)
    batches.push(batch)
  }
  return { batches, shortage: undefined }
}
