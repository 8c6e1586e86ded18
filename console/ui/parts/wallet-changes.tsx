// Wallets about to change: said for as long as somebody can still say no.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { WalletChanges as All } from '../api.ts'
import { api } from '../session.ts'
import { moneyMoves } from '../state.ts'
import { fullTime } from '../times.ts'
import { Digest } from './words.tsx'

function Change({ change }: { change: All[number] }) {
  const problem = useSignal<string | undefined>(undefined)
  const cancel = async () => {
    const outcome = await api.cancelWalletChange(change.id)
    problem.value = outcome.ok ? undefined : outcome.message
    moneyMoves.value += 1
  }
  return (
    <div class="note tone-warn" role="status">
      <p>
        From {fullTime(change.effectiveAt)} on, {change.payee} will be paid at{' '}
        <Digest text={change.address} keep={12} />. Its present wallet has not agreed.
      </p>
      <button type="button" class="button" onClick={() => void cancel()}>
        Stop this change
      </button>
      {problem.value && <p class="ink-bad">{problem.value}</p>}
    </div>
  )
}

export function WalletChanges() {
  const known = useSignal<All>([])
  const moves = moneyMoves.value
  useEffect(() => {
    void api.walletChanges().then((outcome) => {
      if (outcome.ok) known.value = outcome.value
    })
  }, [moves])
  return (
    <>
      {known.value.map((change) => (
        <Change key={change.id} change={change} />
      ))}
    </>
  )
}
