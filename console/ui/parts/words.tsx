// The smallest parts: a state as a pill, a moment as an age, an amount with its symbol, a digest cut short.
import { formatUnits } from '../amounts.ts'
import { shorten } from '../quantities.ts'
import { clockMs, token } from '../state.ts'
import { formatAge, fullTime } from '../times.ts'
import type { Tone } from '../words.ts'

export const Pill = ({ tone, label }: { tone: Tone; label: string }) => <span class={`pill tone-${tone}`}>{label}</span>

export const Moment = ({ at }: { at: string }) => (
  <time dateTime={at} title={fullTime(at)}>
    {formatAge(at, clockMs.value)}
  </time>
)

export const Amount = ({ units }: { units: string }) => (
  <span class="amount">
    {formatUnits(units, token.value.decimals)} <span class="unit">{token.value.symbol}</span>
  </span>
)

export const Digest = ({ text, keep = 8 }: { text: string; keep?: number }) => (
  <code class="digest" title={text}>
    {shorten(text, keep)}
  </code>
)
