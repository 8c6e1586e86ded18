// A real agent process, enrolled, behind a proxy that can fail, with a console that acknowledges and a requester that sends
// every task again until it is answered. The agent can be started anew in whatever way a test needs.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import { ReceiptBatch } from '../../broker/protocol/receipts.ts'
import { killed, openBoard } from '../agent/board.ts'
import { CHELSEA } from '../harness/pipeline.ts'
import { isFinal, judge } from './judge.ts'
import { startProxy } from './proxy.ts'

const MAIN = fileURLToPath(new URL('../../agent/main.ts', import.meta.url))
const MODEL = 'mobilenet-v1'
/** A task without an answer comes again; nobody wants it at all after a console's lease. */
const AGAIN_MS = 3_000
const LEASE_MS = 30_000

/** Every batch was verified by the console that acknowledged it. */
const decode = (jws: string): ReceiptBatch =>
  ReceiptBatch.parse(JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()))

export interface Started {
  readonly child: ChildProcess
  /** Resolves with the first line on stdout or stderr that has the text; rejects when the process ends without. */
  said(text: string): Promise<string>
  readonly exited: Promise<number | null>
  /** All it said, stdout and stderr. */
  lines(): readonly string[]
}

/** `command` is run with the agent's command line as its last arguments. */
export function launch(command: readonly string[], env: NodeJS.ProcessEnv = process.env): Started {
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const lines: string[] = []
  let listeners: ((line: string) => void)[] = []
  for (const input of [child.stdout, child.stderr])
    createInterface({ input }).on('line', (line) => {
      lines.push(line)
      for (const listener of listeners) listener(line)
    })
  const exited = once(child, 'close').then(([code]) => code as number | null)
  return {
    child,
    exited,
    lines: () => lines,
    said: (text) =>
      Promise.race([
        new Promise<string>((resolve) => {
          const listen = (line: string): void => {
            if (line.includes(text)) resolve(line)
          }
          lines.forEach(listen)
          listeners = [...listeners, listen]
        }),
        exited.then((code) => Promise.reject(new Error(`ended with ${code}: ${lines.slice(-20).join('\n')}`))),
      ]),
  }
}

/** `again: false`: no task comes again until the test says so (`askAgain`). */
export async function openReal({ again = true } = {}) {
  let target: number | undefined
  const proxy = await startProxy(() => target)
  const flags = ['--serve', MODEL, '--mqtt-url', `mqtt://127.0.0.1:${proxy.port}`]
  const board = await openBoard(flags)
  const port = Number(new URL(board.broker.url).port)
  target = port
  try {
    await board.serving()
    await board.status('online')
  } catch (error) {
    await board.close()
    await proxy.close()
    throw error
  }
  let agent: Started | undefined

  const asked = new Set<string>()
  const answers = () =>
    board.ear.heard.flatMap(({ topic, payload }) =>
      topic.kind === 'device-out' && topic.task !== undefined
        ? [{ task: topic.task, payload: payload.toString() }]
        : [],
    )
  const answered = (): Set<string> =>
    new Set(answers().flatMap(({ task, payload }) => (isFinal(payload) ? [task] : [])))
  const send = (id: string): Promise<void> => {
    const lease = { id, deadline: Date.now() + LEASE_MS, contentType: 'image/jpeg', data: CHELSEA } as const
    return board.send(MODEL, id, encodeFrame(lease))
  }
  const sendAgain = (): void => {
    const done = answered()
    for (const id of asked) if (!done.has(id)) void send(id)
  }
  const leases = again ? setInterval(sendAgain, AGAIN_MS) : undefined

  const verdict = (): string[] =>
    judge({
      accepted: asked,
      answers: answers(),
      batches: board.ear.heard.flatMap(({ topic, payload }) => (topic.kind === 'receipts' ? [payload.toString()] : [])),
      verify: decode,
    })

  return {
    board,
    proxy,
    answers,
    /** No connection can be made from now on, and those there are end; or all is well again. */
    reachable(on: boolean): void {
      target = on ? port : undefined
      if (!on) proxy.cut()
    },
    /** One task more. */
    ask(): string {
      const id = `task-${asked.size}`
      asked.add(id)
      void send(id)
      return id
    },
    /** What has no answer is asked again, so many at a time, until it has one: all at once would only be refused. */
    async askAgain(atOnce: number): Promise<void> {
      const done = answered()
      const missing = [...asked].filter((id) => !done.has(id))
      const lane = async (): Promise<void> => {
        for (let id = missing.pop(); id !== undefined; id = missing.pop()) {
          const answer = board.answer(MODEL, id, board.ear.heard.length)
          void send(id)
          const said = await Promise.race([answer, pause(AGAIN_MS)])
          if (!said || !isFinal(JSON.stringify(said))) missing.push(id)
        }
      }
      await Promise.all(Array.from({ length: atOnce }, lane))
    },
    /** Tasks at a steady rate for a while; more than this machine can do are refused and come again. */
    async traffic(seconds: number, perS = 25): Promise<void> {
      for (let n = 0; n < seconds * perS; n += 1) {
        this.ask()
        await pause(1_000 / perS)
      }
    },
    /** Ends the process that is running and starts it on the same folder, in front of it `wrap`. */
    async relaunch(wrap: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): Promise<Started> {
      await killed(agent?.child ?? board.agent().child)
      agent = launch([...wrap, process.execPath, MAIN, 'run', '--data', board.folder, ...flags], env)
      return agent
    },
    /** Until the judge has nothing to say; a minute later it is given up, and the verdict says what is missing. */
    async settle(everyMs = 250): Promise<void> {
      for (let waited = 0; waited < 60_000 && verdict().length > 0; waited += everyMs) await pause(everyMs)
    },
    verdict,
    async close(): Promise<void> {
      clearInterval(leases)
      if (agent) await killed(agent.child)
      await board.close()
      await proxy.close()
    },
  }
}
export type Real = Awaited<ReturnType<typeof openReal>>
