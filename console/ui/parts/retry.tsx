// A board found a version bad and does not try it again by itself. Whoever knows better can ask it to.
import { useSignal } from '@preact/signals'
import { api } from '../session.ts'

/** `what` for those who hear the page: `fashion on calm-green-fox`. */
export function Retry({ device, what }: { device: string; what: string }) {
  const said = useSignal<string | undefined>(undefined)
  const busy = useSignal(false)
  const ask = async () => {
    busy.value = true
    const outcome = await api.command(device, 'converge', { retry: true })
    busy.value = false
    said.value = outcome.ok ? outcome.value.reason : outcome.message
  }
  return (
    <>
      <button type="button" class="button quiet small" disabled={busy.value} onClick={() => void ask()}>
        {busy.value ? 'Asking the board…' : 'Try again'}
        <span class="unseen"> {what}</span>
      </button>
      <span class="reason" role="status">
        {said.value}
      </span>
    </>
  )
}
