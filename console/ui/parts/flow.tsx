// Money on its way to the owners: four places, in order, each with what lies there now.
import type { Rewards } from '../../routes/shapes.ts'
import { sumUnits } from '../amounts.ts'
import { Icon } from './icons.tsx'
import { Amount } from './words.tsx'

const PLACES = [
  { key: 'pending', label: 'Pending', note: 'earned, inside the hold' },
  { key: 'payable', label: 'Payable', note: 'goes out with the next settlement' },
  { key: 'inPayout', label: 'In payout', note: 'sent, waiting to be final' },
  { key: 'paid', label: 'Paid', note: 'in wallets, for ever' },
] as const

export const MoneyFlow = ({ owners }: { owners: Rewards['owners'] }) => (
  <ol class="flow" aria-label="From earned to paid">
    {PLACES.map(({ key, label, note }, place) => (
      <li key={key} class={`card flow-${key}`}>
        {place > 0 && (
          <span class="flow-arrow">
            <Icon name="arrow" />
          </span>
        )}
        <h3>{label}</h3>
        <p class="flow-value">
          <Amount units={sumUnits(owners.map((owner) => owner[key]))} />
        </p>
        <p class="muted">{note}</p>
      </li>
    ))}
  </ol>
)
