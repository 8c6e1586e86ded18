// The boards that `up` runs on this machine: real agents in processes of their own, let in by real one-time tokens.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { z } from 'zod'
import { type Child, keepAlive, runOnce } from './children.ts'

export interface AgentsOptions {
  readonly root: string
  readonly data: string
  readonly models: string
  readonly count: number
  readonly consoleUrl: string
  readonly mqttUrl: string
  /** A one-time token for a new board. */
  readonly token: () => Promise<string>
  readonly isKnown: (device: string) => boolean
  readonly log: Logger
  readonly now: () => number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly stopping: AbortSignal
}

export class AgentFault extends Error {
  override readonly name = 'AgentFault'
  readonly code = 'not-enrolled'
}

/** An agent moves bytes; the models live in its inference process. Small heaps keep a board of 512 MB usable. */
const SMALL_MEMORY = ['--max-old-space-size=96', '--max-semi-space-size=1']
/** glibc gives every thread an arena of its own, which a small board pays for and does not need. */
const ONE_ARENA = { MALLOC_ARENA_MAX: '2' }

const Credential = z.object({ device: z.string(), console: z.string() })

/** Enrolled with this console, at the address it has now; otherwise the same key enrols again and is the same board. */
async function isEnrolled(folder: string, { consoleUrl, isKnown }: AgentsOptions): Promise<boolean> {
  try {
    const credential = Credential.parse(JSON.parse(await readFile(join(folder, 'credential.json'), 'utf8')))
    return credential.console === consoleUrl && isKnown(credential.device)
  } catch {
    // Missing, damaged or of another shape: enrolling writes it anew.
    return false
  }
}

export async function startAgents(options: AgentsOptions): Promise<{ stop(): Promise<void> }> {
  const { root, data, models, count, consoleUrl, mqttUrl, log, now, sleep, stopping } = options
  const main = join(root, 'agent/main.ts')

  async function startAgent(number: number): Promise<Child> {
    const folder = join(data, 'agents', String(number))
    if (!(await isEnrolled(folder, options))) {
      const token = await options.token()
      const { code, output } = await runOnce([
        main,
        'enroll',
        '--console',
        consoleUrl,
        '--token',
        token,
        '--data',
        folder,
      ])
      if (code !== 0) throw new AgentFault(`agent ${number} could not enrol: ${output.trim()}`)
    }
    // The broker's address is said again: with --mqtt 0 its port is another one at every start.
    const args = [...SMALL_MEMORY, main, 'run', '--data', folder, '--models', models, '--mqtt-url', mqttUrl]
    return keepAlive({ name: `agent-${number}`, args, env: ONE_ARENA, log, now, sleep, stopping })
  }

  const agents: Child[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(agents.map((agent) => agent.stop()))
  }
  try {
    // Side by side: each start is mostly waiting for a process to load.
    await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        agents.push(await startAgent(index + 1))
      }),
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { stop }
}
