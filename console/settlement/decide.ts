// What to do next with one payout: a pure function of what is committed and what the chain was seen to say.
import type { PayoutState } from '../store/states.ts'
import type { SignatureStatus } from './payer.ts'

export type OpenState = Exclude<PayoutState, 'finalized' | 'failed'>

export interface Attempt {
  readonly attempt: number
  readonly signature: string
  readonly wire: Uint8Array
  readonly lastValidBlockHeight: number
}

/** One look at the chain. The statuses were asked for AFTER the finalized height was read: that order is what makes it
 * safe to call an attempt gone. */
export interface Sight {
  readonly finalizedHeight: number
  /** Whether the node that gave the statuses had seen at least the finalized slot; if not, its "unknown" means nothing. */
  readonly current: boolean
  readonly found: ReadonlyMap<string, SignatureStatus>
}

export type Step =
  | { readonly do: 'sign' }
  | { readonly do: 'send'; readonly attempt: Attempt }
  | { readonly do: 'confirm' | 'unconfirm' | 'finalize' | 'expire' | 'wait' }
  | { readonly do: 'fail'; readonly reason: string }

/** A payout that never lands is not tried for ever: its money becomes payable again and the next settlement pays it. */
export const MAX_ATTEMPTS = 5

const WAIT = { do: 'wait' } as const

export function decide(
  { state, attempts }: { readonly state: OpenState; readonly attempts: readonly Attempt[] },
  sight: Sight,
): Step {
  const newest = attempts.at(-1)
  if (!newest) return state === 'planned' ? { do: 'sign' } : WAIT
  const statuses = attempts.map(({ signature }) => sight.found.get(signature))
  const succeeded = statuses.filter((status) => status !== undefined && status.error === undefined)
  // Also an attempt that was thought to have expired: whatever is on the chain is the truth.
  if (succeeded.some((status) => status?.commitment === 'finalized')) return { do: 'finalize' }
  if (succeeded.some((status) => status?.commitment === 'confirmed'))
    return state === 'signed' || state === 'sent' ? { do: 'confirm' } : WAIT
  // A confirmed block may be forked away (rare): the same bytes are sent again.
  if (state === 'confirmed') return { do: 'unconfirm' }
  const fates = attempts.map((attempt) => fateOf(attempt, sight))
  if (fates.includes('open'))
    return state === 'expired' || fates.at(-1) !== 'open' ? WAIT : { do: 'send', attempt: newest }
  const error = statuses.find((status) => status?.error !== undefined)?.error
  if (error !== undefined) return { do: 'fail', reason: `the transaction failed on the chain: ${error}` }
  if (state !== 'expired') return { do: 'expire' }
  if (attempts.length < MAX_ATTEMPTS) return { do: 'sign' }
  return { do: 'fail', reason: `none of ${attempts.length} transactions landed before it expired` }
}

/** Gone: nobody can land it any more, and nobody has. Open: it may still land, or is on its way to finalized. */
const fateOf = ({ signature, lastValidBlockHeight }: Attempt, sight: Sight): 'open' | 'failed' | 'gone' => {
  const status = sight.found.get(signature)
  if (status) return status.commitment === 'finalized' && status.error !== undefined ? 'failed' : 'open'
  return sight.current && sight.finalizedHeight > lastValidBlockHeight ? 'gone' : 'open'
}
