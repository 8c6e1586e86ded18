// An agent by itself on an embedded broker, without a console: what its own memory and its own start are measured on.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pino } from 'pino'
import { startBroker } from '../../broker/embedded.ts'
import { connectLink } from '../../broker/link.ts'
import { deviceGrants } from '../../broker/protocol/credentials.ts'
import { ResultMessage } from '../../broker/protocol/messages.ts'
import { filters, formatTopic, parseTopic } from '../../broker/protocol/topics.ts'
import { freshFolder, ROOT, removeFolder } from '../harness/bramble.ts'
import { childrenOf } from './processes.ts'

const DEVICE = 'bench-board'
const silent = pino({ level: 'silent' })

export interface LoneBoard {
  /** Pids of the agent and of its inference processes. */
  pids(): number[]
  /** Publishes one frame as a task and waits for its answer. */
  ask(model: string, frame: Uint8Array): Promise<ResultMessage>
  /** Resolves when the board says that it is online: from then on its broker hands it frames. */
  readonly online: Promise<void>
  close(): Promise<void>
}

/** A way to start the agent: with `args` after its own, and `env` beside its own. */
export type StartAgent = (args: readonly string[], env: Readonly<Record<string, string>>) => ChildProcess

const fromSources: StartAgent = (args, env) =>
  spawn(process.execPath, ['agent/main.ts', ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
  })

/** `serve`: the model ids that are loaded. Resolves once the agent's process is started, not when it serves. */
export async function startLoneBoard(
  serve: readonly string[],
  data?: string,
  start: StartAgent = fromSources,
): Promise<LoneBoard> {
  const folder = data ?? (await freshFolder())
  const broker = await startBroker({
    host: '127.0.0.1',
    port: 0,
    log: silent,
    now: Date.now,
    authenticate: async (id) => ({
      role: 'device',
      id,
      grants: id === DEVICE ? deviceGrants(id) : allow(DEVICE),
    }),
  })
  const link = connectLink({
    url: broker.url,
    clientId: 'bench',
    username: 'bench',
    password: 'bench',
    subscriptions: [...filters.deviceOutput(DEVICE), `bramble/1/d/${DEVICE}/status`],
    log: silent,
  })
  const waiting = new Map<string, (answer: ResultMessage) => void>()
  const online = Promise.withResolvers<void>()
  link.onMessage((text, payload) => {
    const topic = parseTopic(text)
    if (topic?.kind === 'status' && payload.toString() === 'online') online.resolve()
    if (topic?.kind === 'device-out' && topic.task !== undefined)
      waiting.get(topic.task)?.(ResultMessage.parse(JSON.parse(payload.toString())))
  })
  await new Promise<void>((resolve) => link.onConnect(resolve))
  const passwordless = ['--mqtt-url', broker.url, '--device', DEVICE, '--username', DEVICE]
  const args = ['run', '--data', folder, '--serve', serve.join(','), ...passwordless]
  // One inference process: what a small board runs.
  const child = start(args, { HOME: join(folder, 'home'), BRAMBLE_HOSTS: '1' })
  const agent = child.pid ?? 0
  // Of this start: a board that kept its data folder would answer a known id from memory, without a run.
  const life = Date.now().toString(36)
  let made = 0
  return {
    online: online.promise,
    pids: () => [agent, ...childrenOf(agent).map(({ pid }) => pid)],
    async ask(model, frame) {
      made += 1
      const task = `bench-${life}-${made}`
      const answered = new Promise<ResultMessage>((resolve) => waiting.set(task, resolve))
      await link.publish(formatTopic({ kind: 'device-in', device: DEVICE, model, task }), frame, { qos: 1 })
      const answer = await answered
      waiting.delete(task)
      return answer
    },
    async close() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
      await link.close()
      await broker.close()
      if (data === undefined) await removeFolder(folder)
    },
  }
}

const allow = (device: string) => [
  { permission: 'allow' as const, action: 'publish' as const, topic: `bramble/1/d/${device}/in/#` },
  { permission: 'allow' as const, action: 'subscribe' as const, topic: `bramble/1/d/${device}/#` },
]
