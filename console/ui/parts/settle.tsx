// "Settle now": closes the epoch and plans what owners may be paid; what came of it is said beside the button.
import { useSignal } from '@preact/signals'
import { api } from '../session.ts'
import { moneyMoves } from '../state.ts'

export function SettleButton() {
  const said = useSignal<{ text: string; ok: boolean } | undefined>(undefined)
  const busy = useSignal(false)
  const settle = async () => {
    busy.value = true
    const outcome = await api.settle()
    busy.value = false
    said.value = { ok: outcome.ok, text: outcome.ok ? outcome.value.message : outcome.message }
    moneyMoves.value += 1
  }
  return (
    <div class="settle">
      <span class={said.value?.ok === false ? 'ink-bad' : 'muted'} role="status">
        {said.value?.text}
      </span>
      <button type="button" class="button primary" disabled={busy.value} onClick={() => void settle()}>
        {busy.value ? 'Settling…' : 'Settle now'}
      </button>
    </div>
  )
}
