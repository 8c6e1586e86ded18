// A real `bramble up` as a child process on free ports and a data folder of its own: what the slow tests and the bench drive.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const ROOT = new URL('../..', import.meta.url).pathname

/** design.md section 7: what scripts and tests may rely on. */
export interface Ready {
  console: { url: string; token: string }
  mqtt: { url: string }
  chain: { rpcUrl: string; mint: string; treasury: string }
  requester: { id: string; password: string }
  devices: { id: string; name: string }[]
  models: string[]
}

export interface Bramble {
  readonly ready: Ready
  readonly child: ChildProcess
  readonly data: string
  /** Everything it printed so far. */
  output(): string
  /** GET or POST under the console with its token; the parsed JSON. */
  api<T>(path: string, init?: RequestInit): Promise<T>
  /** SIGTERM and the exit code. */
  stop(): Promise<number | null>
  /** SIGKILL: nothing is said, nothing is flushed. */
  kill(): Promise<void>
}

export const freshFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'bramble-test-'))
export const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true })

const ANY_PORTS = ['--http', '0', '--mqtt', '0', '--chain', '0']

/** The flags that put a restarted console where its boards and requesters look for it. */
export const samePorts = ({ console: { url }, mqtt, chain }: Ready): string[] => [
  ...['--http', new URL(url).port],
  ...['--mqtt', new URL(mqtt.url).port],
  ...['--chain', new URL(chain.rpcUrl).port],
]

async function untilReady(child: ChildProcess, file: string, output: () => string): Promise<void> {
  const exited = once(child, 'exit').then(([code]) => {
    throw new Error(`bramble up ended with ${code} before it was ready:\n${output()}`)
  })
  exited.catch(() => undefined)
  while (!existsSync(file) || !output().includes('ready')) {
    if (!child.stdout) throw new Error('no stdout')
    await Promise.race([once(child.stdout, 'data'), exited])
  }
}

/** Starts `bramble up` with `flags`; free ports and a fresh folder unless given. The caller stops it and removes `data`. */
export async function startBramble(
  options: { data?: string; ports?: readonly string[]; flags?: readonly string[] } = {},
): Promise<Bramble> {
  const data = options.data ?? (await freshFolder())
  const args = ['console/bramble.js', 'up', '--data', data, ...(options.ports ?? ANY_PORTS), ...(options.flags ?? [])]
  const file = join(data, 'ready.json')
  await rm(file, { force: true })
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (text += chunk))
  await untilReady(child, file, () => text)
  const ready = JSON.parse(await readFile(file, 'utf8')) as Ready
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const exited = once(child, 'exit')
    child.kill(signal)
    return (await exited)[0] as number | null
  }
  return {
    ready,
    child,
    data,
    output: () => text,
    api: async <T>(path: string, init: RequestInit = {}) => {
      const headers = { authorization: `Bearer ${ready.console.token}`, ...init.headers }
      const response = await fetch(new URL(path, ready.console.url), { ...init, headers })
      return (await response.json()) as T
    },
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
  }
}
