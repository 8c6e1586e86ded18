// Overview: is all well, how much is answered and earned, and what is being seen right now.
import type { Overview } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { Chart } from '../parts/chart.tsx'
import { Empty, Loading } from '../parts/empty.tsx'
import { Icon } from '../parts/icons.tsx'
import { Stat } from '../parts/stat.tsx'
import { PauseButton, useStrip } from '../parts/strip.tsx'
import { Tile } from '../parts/tile.tsx'
import { Amount } from '../parts/words.tsx'
import { formatCount, formatRate } from '../quantities.ts'
import { overview, tasks } from '../state.ts'
import { dropWords } from '../words.ts'

const HEALTH = {
  ok: { icon: 'check', tone: 'ok' },
  attention: { icon: 'alert', tone: 'warn' },
  problem: { icon: 'cross', tone: 'bad' },
} as const

const Health = ({ health }: { health: Overview['health'] }) => {
  const { icon, tone } = HEALTH[health.level]
  return (
    <div class={`health tone-${tone}`}>
      <Icon name={icon} />
      <div aria-live="polite">
        <p>{health.sentence}</p>
        {health.more.length > 0 && (
          <ul class="health-more">
            {health.more.map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        )}
      </div>
    </div>
  )
}

const STATES = ['working', 'idle', 'late', 'offline'] as const

function Boards({ devices }: { devices: Overview['devices'] }) {
  const total = Math.max(1, devices.total)
  let start = 0
  return (
    <Stat label="Boards" value={<a href={paths.devices}>{formatCount(devices.total)}</a>}>
      <svg class="bar" width="100%" height="8" aria-hidden="true">
        <rect class="bar-rest" width="100%" height="8" rx="4" />
        {STATES.map((state) => {
          const x = (start / total) * 100
          start += devices[state]
          return (
            <rect
              key={state}
              class={`board-${state}`}
              x={`${x}%`}
              width={`${(devices[state] / total) * 100}%`}
              height="8"
            />
          )
        })}
      </svg>
      <ul class="legend">
        {STATES.filter((state) => devices[state] > 0).map((state) => (
          <li key={state} class={`key-${state}`}>
            {devices[state]} {state}
          </li>
        ))}
      </ul>
    </Stat>
  )
}

/** Lost is the promise of the product: 0, large and quiet; anything else is a bug and looks like one. */
const Lost = ({ lost }: { lost: number }) => (
  <Stat
    label="Lost"
    value={formatCount(lost)}
    tone={lost === 0 ? 'ok' : 'bad'}
    note={
      lost === 0
        ? 'Every accepted task is waiting or answered.'
        : 'Accepted tasks without an answer: please report this.'
    }
  />
)

function Numbers({ now }: { now: Overview }) {
  const drops = dropWords(now.tasks.droppedToday)
  const points = now.history.map(({ at, perS }) => ({ at, value: perS }))
  const failed = now.tasks.failedToday
  return (
    <div class="stats">
      <Stat
        wide
        label="Answers per second"
        value={formatRate(now.inferencesPerS)}
        note={
          <>
            {formatCount(now.tasks.answeredToday)} answered today
            {failed > 0 && <>, {formatCount(failed)} refused</>}
          </>
        }
      >
        {points.length > 1 && (
          <Chart bare fromZero title="Answers per second, last five minutes" points={points} format={formatRate} />
        )}
      </Stat>
      <Stat
        label="Earned today"
        value={<Amount units={now.money.earnedToday} />}
        note={
          <>
            <Amount units={now.money.owed} /> owed, <Amount units={now.money.paid} /> paid.{' '}
            <a href={paths.earnings}>Earnings</a>
          </>
        }
      />
      <Lost lost={now.tasks.lost} />
      <Stat
        label="Waiting"
        value={formatCount(now.tasks.waiting)}
        unit={now.tasks.waiting === 1 ? 'task' : 'tasks'}
        note={drops ? `Frames dropped today: ${drops}` : 'No frame was dropped today.'}
      />
      <Boards devices={now.devices} />
    </div>
  )
}

const STRIP_PLACES = 6

function LiveStrip() {
  const strip = useStrip(tasks.value ?? [], STRIP_PLACES)
  return (
    <section aria-labelledby="strip-title">
      <div class="section-head">
        <h2 id="strip-title">Latest answers</h2>
        {strip.length > 0 && <PauseButton />}
      </div>
      {strip.length === 0 ? (
        <Empty title="No frames have been answered yet.">
          <p>
            Send one: <code>mosquitto_pub -t 'bramble/1/r/YOU/in/ssd-mobilenet-v1' -f photo.jpg</code>. The README has
            the same with curl, mqtt.js and Python.
          </p>
        </Empty>
      ) : (
        <ul class="strip">
          {strip.map((task, place) => (
            <Tile key={place} task={task} />
          ))}
        </ul>
      )}
    </section>
  )
}

export function OverviewPage() {
  const now = overview.value
  if (!now) return <Loading what="the overview" />
  return (
    <>
      <h1 class="unseen">Overview</h1>
      <Health health={now.health} />
      <Numbers now={now} />
      {now.devices.total === 0 && (
        <section>
          <div class="section-head">
            <h2>Add your first board</h2>
          </div>
          <p>
            <a class="button primary" href={paths.addBoard}>
              <Icon name="plus" />
              Add board
            </a>
          </p>
        </section>
      )}
      <LiveStrip />
    </>
  )
}
