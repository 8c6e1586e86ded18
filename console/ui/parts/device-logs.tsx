// The last lines of a board's log, asked for from the board itself.
import { type Signal, useSignal } from '@preact/signals'
import { detailsOf, type LogLine, levelOf, lineTime, matches, readLogs } from '../log-lines.ts'
import { api } from '../session.ts'
import { fullTime } from '../times.ts'
import { Empty } from './empty.tsx'
import { Filter } from './filter.tsx'

const LEAST = [
  { value: '0', label: 'All' },
  { value: '30', label: 'Info' },
  { value: '40', label: 'Warnings' },
  { value: '50', label: 'Errors' },
] as const

interface Asked {
  readonly lines: readonly LogLine[]
  readonly leftOut: number
}

/** A board may be slow, or away: then this says so instead of lines. */
async function ask(id: string): Promise<Asked | string> {
  const outcome = await api.command(id, 'logs', {})
  if (!outcome.ok) return outcome.message
  const { state, reason, result } = outcome.value
  if (state !== 'done') return reason
  return readLogs(result) ?? 'The board answered something that is no log.'
}

const Line = ({ line, utc }: { line: LogLine; utc: boolean }) => {
  const { word, ink } = levelOf(line.level)
  return (
    <li class="log-line">
      <time dateTime={line.time} title={utc ? line.time : fullTime(line.time)}>
        {lineTime(line.time, utc)}
      </time>
      <span class={`ink-${ink}`}>{word}</span>
      <span class="log-text">
        {line.msg} <span class="log-more">{detailsOf(line)}</span>
      </span>
    </li>
  )
}

function Lines({ asked, text, least, utc }: { asked: Asked; text: string; least: number; utc: boolean }) {
  const shown = asked.lines.filter((line) => matches(line, text, least)).toReversed()
  if (shown.length === 0) return <Empty title="No line fits." />
  return (
    <>
      <p class="muted">
        {shown.length} of {asked.lines.length} lines, the newest first
        {asked.leftOut > 0 && `; ${asked.leftOut} older ones did not fit into one message`}
      </p>
      <ol class="log-lines">
        {shown.map((line, index) => (
          <Line key={`${line.time} ${index}`} line={line} utc={utc} />
        ))}
      </ol>
    </>
  )
}

const Zone = ({ utc }: { utc: Signal<boolean> }) => (
  <button
    type="button"
    class="choice"
    aria-pressed={utc.value}
    onClick={() => {
      utc.value = !utc.value
    }}
  >
    UTC
  </button>
)

export function DeviceLogs({ id }: { id: string }) {
  const asked = useSignal<Asked | string | undefined>(undefined)
  const busy = useSignal(false)
  const text = useSignal('')
  const least = useSignal<string>('0')
  const utc = useSignal(false)
  const fetchLines = async () => {
    busy.value = true
    asked.value = await ask(id)
    busy.value = false
  }
  return (
    <section aria-label="Log">
      <h2 class="section-title">Log</h2>
      <div class="log-tools">
        <button type="button" class="button" disabled={busy.value} onClick={() => void fetchLines()}>
          {busy.value ? 'Asking the board…' : 'Fetch the last lines'}
        </button>
        <Filter label="Filter the log" hint="Filter" text={text} choice={least} choices={LEAST}>
          <Zone utc={utc} />
        </Filter>
      </div>
      <div aria-live="polite">
        {typeof asked.value === 'string' && <p class="note tone-warn">{asked.value}</p>}
        {typeof asked.value === 'object' && (
          <Lines asked={asked.value} text={text.value} least={Number(least.value)} utc={utc.value} />
        )}
      </div>
    </section>
  )
}
