// The last lines of a board's log, asked for from the board itself.
import { type Signal, useSignal } from '@preact/signals'
import { type Asked, detailsOf, type LogLine, levelOf, lineTime, matches, readLogs, withOlder } from '../log-lines.ts'
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

/** A board may be slow, or away: then this says so instead of lines. `before`: only lines older than this. */
async function ask(id: string, before?: string): Promise<Asked | string> {
  const outcome = await api.command(id, 'logs', before === undefined ? {} : { before })
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
        {asked.leftOut > 0 && `; ${asked.leftOut} older ones are on the board`}
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

interface OlderProps {
  readonly asked: Asked | undefined
  readonly busy: boolean
  readonly onFetch: (known: Asked) => Promise<void>
}

/** One message carries only so much. */
const Older = ({ asked, busy, onFetch }: OlderProps) =>
  asked === undefined || asked.leftOut === 0 ? null : (
    <button type="button" class="button" disabled={busy} onClick={() => void onFetch(asked)}>
      {busy ? 'Asking the board…' : 'Fetch older lines'}
    </button>
  )

export function DeviceLogs({ id }: { id: string }) {
  const asked = useSignal<Asked | undefined>(undefined)
  const busy = useSignal(false)
  const text = useSignal('')
  const least = useSignal<string>('0')
  const utc = useSignal(false)
  const problem = useSignal<string | undefined>(undefined)
  const fetchLines = async (known?: Asked) => {
    busy.value = true
    const answer = await ask(id, known?.lines[0]?.time)
    busy.value = false
    problem.value = typeof answer === 'string' ? answer : undefined
    if (typeof answer === 'object') asked.value = withOlder(known, answer)
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
        {problem.value && <p class="note tone-warn">{problem.value}</p>}
        {asked.value && <Lines asked={asked.value} text={text.value} least={Number(least.value)} utc={utc.value} />}
        <Older asked={asked.value} busy={busy.value} onFetch={fetchLines} />
      </div>
    </section>
  )
}
