// The birth message: said when the board can work, and again whenever something of it has changed.
import type { Runtime } from '../broker/protocol/messages.ts'
import { HostError, type InferenceHost } from '../models/runtime/host.ts'
import type { Choice, Compared } from './choice.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Serving } from './frames/serving.ts'
import type { Membership } from './membership.ts'
import type { Neighbours } from './neighbours.ts'
import { infoOf } from './presence/info.ts'
import type { Board } from './presence/vitals.ts'
import type { Presence } from './presence.ts'
import type { Software } from './software.ts'
import type { Supply } from './supply.ts'

interface Options {
  readonly config: Pick<Config, 'payloadKiB' | 'queueFrames'>
  readonly version: string
  readonly boot: string
  readonly board: Board
  readonly membership: Pick<Membership, 'device' | 'name'>
  readonly host: Pick<InferenceHost, 'runtime' | 'provider'>
  readonly cores: Choice
  readonly comparisons: readonly Compared[]
  readonly serving: Pick<Serving, 'served'>
  readonly supply: Pick<Supply, 'states'>
  readonly software: Pick<Software, 'state' | 'notices' | 'ready'>
  readonly presence: Pick<Presence, 'ready'>
  readonly neighbours: Pick<Neighbours, 'announced'>
  /** What is to be known of the past. */
  readonly notices: readonly string[]
  readonly clock: Pick<Clock, 'now'>
}

/** `faults`: what keeps it from working now. */
export type Announce = (faults?: readonly string[]) => Promise<void>

/** Of a board on which nothing can be run. */
const NO_RUNTIME: Runtime = { ort: 'none', provider: 'none', cpu: process.arch, decoder: 'none', flags: [] }

export function createAnnounce(options: Options): Announce {
  const { config, membership, host, serving, supply, software, presence, neighbours, clock } = options
  const { version, boot, board, comparisons, cores: hosts } = options
  const { device, name } = membership
  const limits = { payloadBytes: config.payloadKiB * 1024, queuedFrames: config.queueFrames }
  let runtime = NO_RUNTIME

  return async (faults = []) => {
    try {
      runtime = await host.runtime()
    } catch (error) {
      // A process that does not start again: what it ran on before is still the last that is known.
      if (!(error instanceof HostError)) throw error
    }
    const info = infoOf({
      device,
      name,
      boot,
      at: clock.now(),
      version,
      board,
      runtime,
      models: serving.served(),
      comparisons,
      packages: supply.states(),
      software: software.state(),
      notices: [...faults, ...options.notices, ...software.notices()],
      limits,
      provider: host.provider(),
      hosts,
    })
    neighbours.announced(info)
    software.ready()
    await presence.ready(info)
  }
}
