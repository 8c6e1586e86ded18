// A payout has become final while somebody is looking: said once, for a few seconds, wherever they are.
import { paths } from '../addresses.ts'
import { arrival, clockMs } from '../state.ts'
import { Icon } from './icons.tsx'
import { Amount } from './words.tsx'

const SHOWN_FOR_MS = 12_000

export function Arrival() {
  const seen = arrival.value
  const fresh = seen !== undefined && clockMs.value - seen.seenMs < SHOWN_FOR_MS
  return (
    <div class="arrivals" aria-live="polite">
      {fresh && (
        <a class="arrival" href={paths.earnings}>
          <Icon name="earnings" />
          <span>
            <strong>
              <Amount units={seen.payout.amount} />
            </strong>{' '}
            arrived in the wallet of {seen.payout.owner.name}
          </span>
        </a>
      )}
    </div>
  )
}
