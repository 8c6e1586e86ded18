// What to do next with one batch: a pure function of what is committed and what the chain was seen to say.
import type { PayoutState } from '../store/states.ts'
import type { SignatureStatus } from './payer.ts'

export type OpenState = Exclude<PayoutState, 'finalized' | 'failed'>

export interface Attempt {
  readonly attempt: number
  readonly signature: string
  readonly wire: Uint8Array
  readonly lastValidBlockHeight: number
}

/** What is known of the account that only one transaction of the batch can make. */
export type MarkerSight =
  /** It is not there, says a node that has seen the finalized slot. */
  | 'absent'
  /** The batch is from before there were markers. */
  | 'none'
  /** Made by one of this batch's own attempts, finalized. */
  | 'ours'
  /** Made by a transaction that is no attempt of this batch; if it is a payout of ours, the gate is closed until it is adopted. */
  | 'taken'
  /** Nobody could tell, or not yet. */
  | 'unclear'

/** One look at the chain. Statuses and markers were asked for AFTER the finalized height was read: that order is what makes
 * it safe to call an attempt gone. */
export interface Sight {
  readonly finalizedHeight: number
  /** Whether the node that gave the statuses had seen at least the finalized slot; if not, its "unknown" means nothing. */
  readonly current: boolean
  readonly found: ReadonlyMap<string, SignatureStatus>
  /** Of this batch. */
  readonly marker: MarkerSight
}

export type Step =
  | { readonly do: 'sign' }
  | { readonly do: 'send'; readonly attempt: Attempt }
  | { readonly do: 'confirm' | 'unconfirm' | 'finalize' | 'expire' | 'wait' }
  /** `isFaulty`: by something in the batch, so that its payees are paid alone the next time. */
  | { readonly do: 'fail'; readonly reason: string; readonly isFaulty: boolean }

const WAIT = { do: 'wait' } as const
const TAKEN = 'its marker was made by another transaction, so that it can never be paid under this name'

const isLive = (status: SignatureStatus | undefined): boolean => status !== undefined && status.error === undefined

/**
 * A batch is given up only on evidence, never because nothing is known of it: then it is signed again, under the same
 * marker, for as long as it takes. Another batch with the same money would have another marker.
 */
export function decide(
  { state, attempts }: { readonly state: OpenState; readonly attempts: readonly Attempt[] },
  sight: Sight,
): Step {
  const statuses = attempts.map(({ signature }) => sight.found.get(signature))
  const succeeded = statuses.filter(isLive)
  // Also an attempt that was thought to have expired: whatever is on the chain is the truth.
  if (succeeded.some((status) => status?.commitment === 'finalized') || sight.marker === 'ours')
    return { do: 'finalize' }
  if (succeeded.some((status) => status?.commitment === 'confirmed'))
    return state === 'signed' || state === 'sent' ? { do: 'confirm' } : WAIT
  // A confirmed block may be forked away (rare): the same bytes are sent again.
  if (state === 'confirmed') return { do: 'unconfirm' }
  if (sight.marker === 'taken') return { do: 'fail', reason: TAKEN, isFaulty: false }
  const newest = attempts.at(-1)
  if (!newest) return sight.marker === 'unclear' ? WAIT : { do: 'sign' }
  const fates = attempts.map((attempt) => fateOf(attempt, sight))
  if (fates.includes('open'))
    return state === 'expired' || fates.at(-1) !== 'open' ? WAIT : { do: 'send', attempt: newest }
  return stepOfDead(state, statuses, sight)
}

/** No attempt can land any more, says the node; the marker has the last word. */
function stepOfDead(
  state: OpenState,
  statuses: readonly (SignatureStatus | undefined)[],
  { marker }: Pick<Sight, 'marker'>,
): Step {
  // One stopped at the marker: then another made it, whatever is said of that one.
  const isMade = marker === 'absent' && statuses.some((status) => status?.markerExists)
  if (marker === 'unclear' || isMade) return state === 'expired' ? WAIT : { do: 'expire' }
  // Only the newest: it ran when all before it could land no more, and got past the marker.
  const error = statuses.at(-1)?.error
  if (error !== undefined)
    return { do: 'fail', reason: `the transaction failed on the chain: ${error}`, isFaulty: true }
  return state === 'expired' ? { do: 'sign' } : { do: 'expire' }
}

/** Gone: nobody can land it any more, and nobody has. Open: it may still land, or is on its way to finalized. */
const fateOf = ({ signature, lastValidBlockHeight }: Attempt, sight: Sight): 'open' | 'failed' | 'gone' => {
  const status = sight.found.get(signature)
  if (status) return status.commitment === 'finalized' && status.error !== undefined ? 'failed' : 'open'
  return sight.current && sight.finalizedHeight > lastValidBlockHeight ? 'gone' : 'open'
}
