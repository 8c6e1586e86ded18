// A version of the agent on its way to the fleet: each ring as one bar, why it stopped, and what can be done.
import { useSignal } from '@preact/signals'
import type { RolloutView } from '../../routes/shapes.ts'
import type { Outcome } from '../api.ts'
import { plural } from '../quantities.ts'
import { api, loadSoftware } from '../session.ts'
import { Confirm } from './confirm.tsx'
import { Moment, Pill } from './words.tsx'

const STATES = {
  canary: { label: 'First boards', tone: 'calm' },
  widening: { label: 'Widening', tone: 'calm' },
  done: { label: 'Everywhere', tone: 'ok' },
  stopped: { label: 'Stopped', tone: 'bad' },
  'rolled-back': { label: 'Rolled back', tone: 'warn' },
} as const

type Ring = RolloutView['rings'][number]
type Place = keyof Ring['boards']

/** In the order in which a board passes them. */
const PLACES: readonly { place: Place; words: string }[] = [
  { place: 'confirmed', words: 'confirmed' },
  { place: 'trial', words: 'on trial' },
  { place: 'downloading', words: 'downloading' },
  { place: 'waiting', words: 'waiting' },
  { place: 'refused', words: 'refused' },
  { place: 'failed', words: 'failed' },
]

function RingBar({ ring: { name, open, boards } }: { ring: Ring }) {
  const shown = PLACES.filter(({ place }) => boards[place] > 0)
  const all = shown.reduce((sum, { place }) => sum + boards[place], 0)
  const words = shown.map(({ place, words: said }) => `${boards[place]} ${said}`).join(', ') || 'no board'
  let x = 0
  return (
    <li class={open ? 'ring' : 'ring ring-shut'}>
      <span class="ring-name">
        {name}
        {!open && <span class="muted"> · not yet</span>}
      </span>
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={`${name}: ${words}`}>
        {shown.map(({ place }) => {
          const [from, width] = [x, (100 * boards[place]) / all]
          x += width
          return <rect key={place} class={`ring-${place}`} x={from} y="0" width={width} height="6" />
        })}
      </svg>
      <small class="muted">{words}</small>
    </li>
  )
}

const QUESTIONS = {
  stop: {
    title: 'Stop the rollout?',
    action: 'Stop',
    says: 'Boards that have switched keep the new version; nobody else is told.',
    call: () => api.stopRollout(),
  },
  resume: {
    title: 'Go on with the rollout?',
    action: 'Go on',
    says: 'It goes on with the ring where it stopped; boards that failed try once more.',
    call: () => api.resumeRollout(),
  },
  back: {
    title: 'Go back to the version before?',
    action: 'Roll back',
    says: 'Every board switches back, with the same trial as on the way here.',
    call: () => api.rollBackSoftware(),
  },
} as const satisfies Record<
  string,
  { title: string; action: string; says: string; call: () => Promise<Outcome<object>> }
>
type Question = keyof typeof QUESTIONS

const POSSIBLE: Readonly<Record<RolloutView['state'], readonly Question[]>> = {
  canary: ['stop'],
  widening: ['stop', 'back'],
  stopped: ['resume', 'back'],
  done: ['back'],
  'rolled-back': [],
}

function Actions({ state }: { state: RolloutView['state'] }) {
  const asked = useSignal<Question | undefined>(undefined)
  const question = asked.value && QUESTIONS[asked.value]
  return (
    <div class="rollout-actions">
      {POSSIBLE[state].map((name) => (
        <button key={name} type="button" class="button" onClick={() => (asked.value = name)}>
          {QUESTIONS[name].action}…
        </button>
      ))}
      {question && (
        <Confirm
          title={question.title}
          action={question.action}
          onConfirm={question.call}
          onClose={() => {
            asked.value = undefined
            loadSoftware()
          }}
        >
          <p>{question.says}</p>
        </Confirm>
      )}
    </div>
  )
}

export function Rollout({ rollout }: { rollout: RolloutView }) {
  const { version, state, reason, startedAt, rings, without } = rollout
  return (
    <div class="rollout">
      <div class="rollout-head">
        <h3>Agent {version}</h3>
        <Pill {...STATES[state]} />
        <small class="muted">
          since <Moment at={startedAt} />
        </small>
        <Actions state={state} />
      </div>
      {reason !== undefined && <p class="note tone-bad">{reason}</p>}
      <ul class="rings">
        {rings.map((ring) => (
          <RingBar key={ring.name} ring={ring} />
        ))}
      </ul>
      {without > 0 && (
        <p class="muted">
          {plural(without, 'board')} without a release that their agent could take: it is too old, or runs from its
          sources.
        </p>
      )}
    </div>
  )
}
