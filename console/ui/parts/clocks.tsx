// The three clocks of a board, each said by itself: is it connected, does it report, does it answer.
import type { Device } from '../../routes/shapes.ts'
import { clockMs } from '../state.ts'
import { formatSpan } from '../times.ts'
import { Icon, type IconName } from './icons.tsx'
import { Moment } from './words.tsx'

interface Clock {
  readonly name: string
  readonly hint: string
  readonly at: string | undefined
  /** Told as a length of time: how long it has been so. */
  readonly lasting?: boolean
  readonly icon: IconName
  readonly ink: 'ok' | 'bad' | 'calm'
}

/** Judged by the console's own state and nothing else: a timer of the page could contradict it. */
function clocksOf({ clocks, state }: Device): readonly Clock[] {
  const connected = clocks.mqtt?.state === 'online'
  const reporting = clocks.heartbeatAt !== undefined && state !== 'late' && state !== 'offline'
  return [
    {
      name: 'MQTT',
      hint: connected ? 'Connected to the broker' : 'Not connected to the broker',
      at: clocks.mqtt?.at,
      lasting: true,
      icon: connected ? 'check' : 'cross',
      ink: connected ? 'ok' : 'bad',
    },
    {
      name: 'Heartbeat',
      hint: reporting ? 'The last heartbeat came in time' : 'No heartbeat in time',
      at: clocks.heartbeatAt,
      icon: reporting ? 'check' : 'cross',
      ink: reporting ? 'ok' : 'bad',
    },
    {
      name: 'Answer',
      hint: 'The last useful result',
      at: clocks.resultAt,
      icon: clocks.resultAt === undefined ? 'clock' : 'check',
      ink: clocks.resultAt === undefined || state !== 'working' ? 'calm' : 'ok',
    },
  ]
}

const Age = ({ at, lasting }: Clock) => {
  if (at === undefined) return 'never'
  return lasting ? <>for {formatSpan(clockMs.value - Date.parse(at))}</> : <Moment at={at} />
}

export const Clocks = ({ device }: { device: Device }) => (
  <ul class="clocks">
    {clocksOf(device).map((clock) => (
      <li key={clock.name} title={clock.hint}>
        <span class={`clock-mark ink-${clock.ink}`}>
          <Icon name={clock.icon} />
        </span>
        <span class="clock-name">{clock.name}</span>{' '}
        <span class="clock-age">
          <Age {...clock} />
        </span>
      </li>
    ))}
  </ul>
)
