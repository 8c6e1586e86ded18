// How many payouts the treasury can carry right now, and the sentence that says why not more.
import type { OpenPayout } from './book.ts'
import type { Funds } from './payer.ts'

export const FEE_LAMPORTS = 5_000n
/** An account below this is swept from the chain: rent exemption of 0 bytes. */
const KEEP_LAMPORTS = 890_880n

export interface Affordable {
  readonly payouts: readonly OpenPayout[]
  /** Why the rest must wait, with the numbers and what to do. */
  readonly shortage: string | undefined
}

/** In their order, until the first that does not fit. `inFlight` may or may not have left the treasury yet. */
export function affordable(
  wanted: readonly OpenPayout[],
  inFlight: readonly OpenPayout[],
  funds: Funds,
  treasury: string,
): Affordable {
  const reserved = inFlight.reduce((sum, { units }) => sum + units, 0n)
  let tokens = funds.tokenUnits - reserved
  let lamports = funds.lamports - KEEP_LAMPORTS - BigInt(inFlight.length) * (FEE_LAMPORTS + funds.accountRent)
  const without = new Set(funds.without)
  const payouts: OpenPayout[] = []
  for (const payout of wanted) {
    const cost = FEE_LAMPORTS + (without.has(payout.wallet) ? funds.accountRent : 0n)
    if (payout.units > tokens)
      return {
        payouts,
        shortage:
          `payouts wait: the treasury holds ${funds.tokenUnits} base units of the token, ${reserved} of them on their way, ` +
          `and the next payout needs ${payout.units}; send tokens to ${treasury}`,
      }
    if (cost > lamports)
      return {
        payouts,
        shortage:
          `payouts wait: the treasury holds ${funds.lamports} lamports for fees and new token accounts ` +
          `and the next payout needs ${cost} more than is free; send SOL to ${treasury}`,
      }
    tokens -= payout.units
    lamports -= cost
    without.delete(payout.wallet)
    payouts.push(payout)
  }
  return { payouts, shortage: undefined }
}
