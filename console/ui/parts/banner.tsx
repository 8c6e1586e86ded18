// What must not be overlooked: the console is out of reach, or it refused what the page asked for.
import { reconnect } from '../session.ts'
import { clockMs, connection, refusal } from '../state.ts'
import { clockTime } from '../times.ts'
import { Icon } from './icons.tsx'

export function OfflineBanner() {
  const state = connection.value
  if (state.kind !== 'offline') return null
  // Read so that the count goes down with the clock.
  void clockMs.value
  const waitS = Math.max(0, Math.ceil((state.retryAtMs - Date.now()) / 1000))
  return (
    <div class="banner tone-bad" role="alert">
      <Icon name="offline" />
      <p>
        Console unreachable since {clockTime(state.sinceMs)}, showing the last known state.{' '}
        <span class="banner-more" aria-hidden="true">
          {waitS === 0 ? 'Trying now.' : `Next try in ${waitS} s.`} Is <code>npm start</code> still running?
        </span>
      </p>
      <button type="button" class="button" onClick={reconnect}>
        Try now
      </button>
    </div>
  )
}

/** A thing that is not there is said by its own page. */
export const RefusalBanner = () =>
  refusal.value &&
  refusal.value.status !== 404 && (
    <div class="banner tone-warn" role="alert">
      <Icon name="alert" />
      <p>{refusal.value.message}</p>
    </div>
  )
