// A child process kept alive: started again with a growing pause when it dies, and stopped with time to drain.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Logger } from 'pino'

export interface Child {
  readonly pid: number | undefined
  /** SIGTERM, and SIGKILL for one that does not go. */
  stop(): Promise<void>
}

export interface ChildOptions {
  readonly name: string
  /** Arguments of this Node, the script among them. */
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly log: Logger
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly now: () => number
  /** The whole of `up` is asked to stop: a terminal's Ctrl-C reaches children before their parent says anything. */
  readonly stopping: AbortSignal
}

const LEASH = new URL('./leash.ts', import.meta.url).href
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15_000
/** A run of this length was a good one: the next pause is short again. */
const STEADY_MS = 20_000
/** `up` stops within 5 s as a whole. */
const DRAIN_MS = 3_000
/** pino's levels, by which a child's lines are passed on. */
const WARN = 40

/** A child's JSON line at warning or above is worth the operator's eye; the rest is for debugging. */
function passOn(log: Logger, name: string, line: string): void {
  try {
    const { level, msg, ...rest } = JSON.parse(line) as { level?: number; msg?: string }
    if (typeof level === 'number' && level >= WARN) log.warn({ child: name, ...rest }, msg ?? line)
    else log.debug({ child: name, ...rest }, msg ?? line)
  } catch {
    if (line.trim() !== '') log.warn({ child: name }, line)
  }
}

function start({ name, args, env, log }: ChildOptions): ChildProcess {
  const child = spawn(process.execPath, ['--import', LEASH, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  for (const output of [child.stdout, child.stderr])
    if (output) createInterface({ input: output }).on('line', (line) => passOn(log, name, line))
  return child
}

const exitOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })

export function keepAlive(options: ChildOptions): Child {
  const { name, log, sleep, now } = options
  const stopped = new AbortController()
  const over = AbortSignal.any([options.stopping, stopped.signal])
  let child: ChildProcess | undefined

  async function run(): Promise<void> {
    let pause = FIRST_PAUSE_MS
    while (!over.aborted) {
      const startedAt = now()
      child = start(options)
      const reason = await exitOf(child)
      if (over.aborted) return
      pause = now() - startedAt > STEADY_MS ? FIRST_PAUSE_MS : Math.min(pause * 2, LONGEST_PAUSE_MS)
      log.warn({ child: name, reason, againInMs: pause }, 'a process ended and is started again')
      await sleep(pause, over)
    }
  }

  const running = run()
  return {
    get pid() {
      return child?.pid
    },
    async stop() {
      stopped.abort()
      child?.kill('SIGTERM')
      const impatience = setTimeout(() => child?.kill('SIGKILL'), DRAIN_MS)
      await running
      clearTimeout(impatience)
    },
  }
}

/** Runs to its end and answers the exit code and what it wrote last. */
export async function runOnce(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString('utf8')).slice(-4000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, output }
}
