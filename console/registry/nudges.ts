// Tells boards that what they should serve has changed, a few at a time: a whole fleet that asks and downloads at the same
// moment would keep the console from its work. A nudge that is lost costs ten minutes: boards ask by themselves.
import type { Logger } from 'pino'
import type { CommandMessage } from '../../broker/protocol/messages.ts'
import type { Topic } from '../../broker/protocol/topics.ts'

const AT_ONCE = 20
const PAUSE_MS = 500
/** A board that was away longer asks when it connects. */
const GOOD_FOR_MS = 60_000

export interface NudgeOptions {
  readonly send: (topic: Topic, payload: string, options: { qos: 0 | 1 }) => Promise<void>
  readonly newId: () => string
  readonly now: () => number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly stopping: AbortSignal
  readonly log: Logger
}

export interface Nudges {
  /** Each board once, however often it is named before its turn comes. */
  add(devices: readonly string[]): void
  /** Resolves when nobody is left to be told. */
  settled(): Promise<void>
}

export function createNudges({ send, newId, now, sleep, stopping, log }: NudgeOptions): Nudges {
  const waiting = new Set<string>()
  let running: Promise<void> | undefined

  async function tell(device: string): Promise<void> {
    const command: CommandMessage = { expiresAt: now() + GOOD_FOR_MS }
    try {
      await send({ kind: 'command', device, name: 'converge', id: newId() }, JSON.stringify(command), { qos: 1 })
    } catch (error) {
      log.debug({ device, err: error }, 'a board was not told of a change; it asks by itself')
    }
  }

  async function run(): Promise<void> {
    while (waiting.size > 0 && !stopping.aborted) {
      const some = [...waiting].slice(0, AT_ONCE)
      for (const device of some) waiting.delete(device)
      await Promise.all(some.map(tell))
      if (waiting.size > 0) await sleep(PAUSE_MS, stopping)
    }
    running = undefined
  }

  return {
    add(devices) {
      for (const device of devices) waiting.add(device)
      if (waiting.size > 0) running ??= run()
    },
    settled: async () => running,
  }
}
