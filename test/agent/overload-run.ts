// A board that is offered four times what it can do, by twenty sources: half of them cameras that stream, half of them
// requesters with deadlines. Everything is real: the agent's processes, the broker, the model.
import { readdirSync, readFileSync } from 'node:fs'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import { ResultMessage } from '../../broker/protocol/messages.ts'
import { openBoard } from './board.ts'

const MODEL = 'ssd-mobilenet-v1'
const SOURCES = 20
const OVERLOAD = 4
const TICK_MS = 5
const SAMPLE_MS = 500
const ANSWERED_MS = 10_000
/** Tasks are wanted within so many run times, drawn evenly. */
const DEADLINE_RUNS = [10, 60] as const

const frame = readFileSync(new URL('../fixtures/frames/chelsea-640.jpg', import.meta.url))
const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
const ascending = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b)
const median = (values: readonly number[]): number => quantile(ascending(values), 0.5)
const totalMs = ({ ms }: ResultMessage): number => ms.queue + ms.decode + ms.infer

type Board = Awaited<ReturnType<typeof openBoard>>

/** One task after the other: what a run takes on this machine, with nothing else to do. */
async function runTime(board: Board): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < 12; n += 1) {
    await board.send(MODEL, `alone-${n}`, frame)
    times.push(totalMs(await board.answer(MODEL, `alone-${n}`)))
  }
  return median(times)
}

/** Runs per second that the board keeps up with, with a few always waiting. */
async function sustainableRate(board: Board, seconds: number): Promise<number> {
  const startedAt = performance.now()
  let done = 0
  const lane = async (name: string): Promise<void> => {
    for (let n = 0; performance.now() - startedAt < seconds * 1_000; n += 1) {
      await board.send(MODEL, `${name}-${n}`, frame)
      await board.answer(MODEL, `${name}-${n}`)
      done += 1
    }
  }
  await Promise.all(['a', 'b', 'c', 'd'].map((name) => lane(`pace-${name}`)))
  return done / ((performance.now() - startedAt) / 1_000)
}

/** Resident MiB of the agent and everything it started. */
export function residentMiB(pid: number): number {
  const kib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  )
  return kib / 1_024 + children.reduce((sum, child) => sum + residentMiB(child), 0)
}

interface Sent {
  readonly source: number
  /** Milliseconds of `performance.now()`, as all times here. */
  readonly sentAt: number
  readonly dueAt?: number
}

/** An answer as its consumer has it. */
interface Got {
  readonly answer: ResultMessage
  readonly heardAt: number
}

async function flood(board: Board, rate: number, runMs: number, seconds: number) {
  const sent = new Map<string, Sent>()
  const resident: number[] = []
  const startedAt = performance.now()
  const everyMs = (SOURCES * 1_000) / (OVERLOAD * rate)
  const next = Array.from({ length: SOURCES }, (_, source) => (source * everyMs) / SOURCES)
  let sampledAt = 0
  const [soon, late] = DEADLINE_RUNS
  function sendOne(source: number): void {
    const id = `f${source}-${sent.size}`
    const content = { id, source: `source-${source}`, contentType: 'image/jpeg', data: frame } as const
    const sentAt = performance.now()
    if (source % 2 === 0) {
      sent.set(id, { source, sentAt })
      void board.send(MODEL, undefined, encodeFrame(content))
      return
    }
    const leftMs = Math.round(runMs * (soon + Math.random() * (late - soon)))
    sent.set(id, { source, sentAt, dueAt: sentAt + leftMs })
    void board.send(MODEL, id, encodeFrame({ ...content, deadline: Date.now() + leftMs }))
  }
  for (;;) {
    const at = performance.now() - startedAt
    if (at > seconds * 1_000) break
    for (const [source, due] of next.entries())
      if (due <= at) {
        sendOne(source)
        next[source] = due + everyMs * (0.5 + Math.random())
      }
    if (at >= sampledAt) {
      resident.push(residentMiB(board.agent().child.pid ?? 0))
      sampledAt += SAMPLE_MS
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
  return { sent, resident }
}

const answersIn = (board: Board, isTask: boolean): Got[] =>
  board.ear.heard.flatMap(({ topic, payload, heardAt }) =>
    topic.kind === 'device-out' && (topic.task !== undefined) === isTask
      ? [{ answer: ResultMessage.parse(JSON.parse(payload.toString())), heardAt }]
      : [],
  )

const answersByTask = (board: Board): Map<string, Got[]> =>
  Map.groupBy(answersIn(board, true), ({ answer }) => answer.id)

async function allAnswered(board: Board, tasks: readonly string[]): Promise<Map<string, Got[]>> {
  const until = performance.now() + ANSWERED_MS
  for (;;) {
    const answers = answersByTask(board)
    if (tasks.every((task) => answers.has(task)) || performance.now() > until) return answers
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

export async function overload(seconds: number) {
  const board = await openBoard(['--serve', MODEL])
  try {
    await board.serving()
    const aloneMs = await runTime(board)
    const rate = await sustainableRate(board, Math.min(5, seconds / 2))
    const before = answersByTask(board).size
    const { sent, resident } = await flood(board, rate, aloneMs, seconds)
    const tasks = [...sent].flatMap(([id, { dueAt }]) => (dueAt === undefined ? [] : [id]))
    const answers = await allAnswered(board, tasks)
    board.agent().child.kill('SIGTERM')
    await board.agent().exited
    const stopped: Record<string, number> = JSON.parse(board.agent().lines.at(-1) ?? '{}')
    const live = answersIn(board, false)
    return {
      aloneMs,
      rate,
      offeredPerS: OVERLOAD * rate,
      sentInAll: before + sent.size,
      stopped,
      tasks: judgeTasks(tasks, sent, answers),
      streams: judgeStreams(live, sent),
      perSource: perSource(sent, [...answers.values()].flat().concat(live)),
      residentMiB: thirds(resident),
    }
  } finally {
    await board.close()
  }
}
export type Report = Awaited<ReturnType<typeof overload>>

function judgeTasks(
  tasks: readonly string[],
  sent: ReadonlyMap<string, Sent>,
  answers: ReadonlyMap<string, readonly Got[]>,
) {
  const lateMs: number[] = []
  let said = 0
  const refused: Record<string, number> = {}
  let met = 0
  for (const id of tasks) {
    const [got] = answers.get(id) ?? []
    if (!got) continue
    const { answer, heardAt } = got
    const overMs = heardAt - (sent.get(id)?.dueAt ?? 0)
    if ('error' in answer) refused[answer.error.code] = (refused[answer.error.code] ?? 0) + 1
    else if (overMs > 0) {
      lateMs.push(overMs)
      if (answer.lateMs !== undefined) said += 1
    } else met += 1
  }
  return {
    sent: tasks.length,
    answeredOnce: tasks.filter((id) => answers.get(id)?.length === 1).length,
    met,
    /** Heard after the deadline. */
    lateMs: ascending(lateMs),
    /** Those of them whose answer says so. */
    said,
    refused,
  }
}

function judgeStreams(live: readonly Got[], sent: ReadonlyMap<string, Sent>) {
  const good = live.filter(({ answer }) => 'result' in answer)
  const latency = ascending(good.map(({ answer, heardAt }) => heardAt - (sent.get(answer.id)?.sentAt ?? 0)))
  return {
    answered: good.length,
    /** Under this very load: what others on the machine take slows runs and answers alike. */
    runMs: median(good.map(({ answer: { ms } }) => ms.decode + ms.infer)),
    runP95Ms: quantile(ascending(good.map(({ answer: { ms } }) => ms.decode + ms.infer)), 0.95),
    ownP50Ms: median(good.map(({ answer }) => totalMs(answer))),
    p50Ms: quantile(latency, 0.5),
    p95Ms: quantile(latency, 0.95),
    p99Ms: quantile(latency, 0.99),
  }
}

function perSource(sent: ReadonlyMap<string, Sent>, answers: readonly Got[]) {
  const counts = new Array<number>(SOURCES).fill(0)
  for (const { answer } of answers) {
    const source = 'result' in answer ? sent.get(answer.id)?.source : undefined
    if (source !== undefined) counts[source] = (counts[source] ?? 0) + 1
  }
  return { streams: counts.filter((_, n) => n % 2 === 0), tasks: counts.filter((_, n) => n % 2 === 1) }
}

const thirds = (values: readonly number[]): number[] => {
  const size = Math.floor(values.length / 3)
  return [0, 1, 2].map((n) => median(values.slice(n * size, (n + 1) * size)))
}
