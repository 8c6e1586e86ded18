// The live strip: a fixed number of places, one of them renewed each second, held still on request.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { TaskView } from '../../routes/shapes.ts'
import { nextStrip } from '../answers.ts'
import { clockMs, paused } from '../state.ts'
import { Icon } from './icons.tsx'

/** What a live view of `places` frames shows now. */
export function useStrip(tasks: readonly TaskView[], places: number): readonly TaskView[] {
  const shown = useSignal<readonly TaskView[]>([])
  const second = Math.floor(clockMs.value / 1000)
  const none = shown.value.length === 0 && tasks.length > 0
  useEffect(() => {
    if (!paused.value || none) shown.value = nextStrip(shown.value, tasks, places)
  }, [second, none])
  return shown.value
}

export const PauseButton = () => (
  <button
    type="button"
    class="button quiet"
    aria-pressed={paused.value}
    onClick={() => {
      paused.value = !paused.value
    }}
  >
    <Icon name={paused.value ? 'play' : 'pause'} />
    {paused.value ? 'Go on' : 'Hold still'}
  </button>
)
