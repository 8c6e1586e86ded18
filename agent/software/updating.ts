// Follows the console's wish for a version of the agent: fills a slot with it, waits until nothing is in hand, and switches. The
// process then ends, and the launcher starts the new version, on trial.
import type { Logger } from 'pino'
import type { SoftwareState } from '../../broker/protocol/messages.ts'
import type { Desired } from '../../broker/protocol/packages.ts'
import type { Clock } from '../clock.ts'
import { createBell } from '../packages/bell.ts'
import { PackageFault } from '../packages/fault.ts'
import { createHolds } from '../packages/holds.ts'
import type { Filling } from './filling.ts'
import { NO_KEYS, type Wish } from './judging.ts'
import type { Place } from './place.ts'
import type { Slots } from './slots.ts'
import { createTelling, type Told } from './telling.ts'

interface Options {
  readonly place: Place | undefined
  readonly slots: Slots | undefined
  readonly filling: Filling | undefined
  readonly hasKeys: boolean
  /** The release that runs; undefined: the package's own version. */
  readonly running: string | undefined
  /** What the console said last; undefined until it has said something. */
  readonly desired: () => Desired | undefined
  /** No frame is in hand: a restart now disturbs nobody. */
  readonly isCalm: () => boolean
  /** The console refused the credential. */
  readonly doubt: () => void
  /** What `wanted` answers has changed. */
  readonly changed: () => void
  /** Another version runs from the next start on. */
  readonly replaced: () => void
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
}

export interface Updating {
  wanted(): SoftwareState['wanted']
  /** Until aborted, or until another version takes over. */
  run(signal: AbortSignal): Promise<void>
  /** The console may want something else, or what failed may be tried again. */
  wake(): void
}

const CALM_LOOK_MS = 1_000
/** On a board that is never idle: what it has in hand is answered `busy` then, and nothing that was answered is lost. */
const CALM_PATIENCE_MS = 10 * 60_000
/** Timers overflow at 24 days. */
const LONGEST_MS = 86_400_000

const NO_LAUNCHER =
  'this agent was not started by the launcher of its Debian package, so it cannot be updated from the console: update it the way it was installed'
const TRIAL_FIRST = 'the version that runs is still on trial; this one is fetched after it'
const NOT_SETTLED = 'the next start of this board runs another version than this one; it is fetched after that'

/** Why it is not even begun. */
function obstacle({ release }: Wish, { place, slots, hasKeys }: Options): Told | undefined {
  if (!place || !slots) return { state: 'refused', reason: NO_LAUNCHER }
  const before = slots.goneBack()
  if (before?.release === release && !before.forgiven) return { state: 'rolled-back', reason: before.why }
  if (!hasKeys) return { state: 'refused', reason: NO_KEYS }
  if (slots.onTrial() !== undefined) return { state: 'downloading', reason: TRIAL_FIRST }
  if (slots.current() !== place.running) return { state: 'downloading', reason: NOT_SETTLED }
  return undefined
}

/** It stopped wanting what failed here: if it wants that again, it means it. */
function forgive({ slots, desired }: Options): void {
  const before = slots?.goneBack()
  const said = desired()
  if (before && said && said.software?.release !== before.release) slots?.forgive()
}

export function createUpdating(options: Options): Updating {
  const { place, slots, filling, desired, clock, log } = options
  const bell = createBell(clock)
  const holds = createHolds({ ...clock, random: options.random })
  const telling = createTelling(options)
  const { tell } = telling
  let underWay: { readonly release: string; readonly stop: AbortController } | undefined

  const wish = (): Wish | undefined => {
    const wanted = desired()?.software
    return wanted?.release === options.running ? undefined : wanted
  }

  async function calm(signal: AbortSignal): Promise<void> {
    const since = clock.elapsed()
    const look = createBell(clock)
    while (!options.isCalm() && clock.elapsed() - since < CALM_PATIENCE_MS && !signal.aborted)
      await look.wait(CALM_LOOK_MS, signal)
    signal.throwIfAborted()
  }

  /** True once another version takes over. */
  async function follow(wanted: Wish, signal: AbortSignal): Promise<boolean> {
    const { release, version } = wanted
    if (!place || !slots || !filling) return false
    tell(release, { state: 'downloading' })
    const filled = await filling.fill(wanted, (done) => tell(release, { state: 'downloading', done }), signal)
    if (!filled.ok) {
      tell(release, { state: 'refused', reason: filled.reason })
      return false
    }
    tell(release, { state: 'switching' })
    await calm(signal)
    slots.switchTo(filled.slot, wanted, place.running)
    log.info({ version, release, slot: filled.slot }, 'another version of the agent takes over')
    options.replaced()
    return true
  }

  function failed({ release }: Wish, error: unknown): void {
    const code = error instanceof PackageFault ? error.code : undefined
    if (code === 'forbidden') options.doubt()
    if (code === undefined) log.error({ release, err: error }, 'the agent was not updated')
    const reason = error instanceof Error ? error.message : String(error)
    // What came and was thrown away is no progress: a console that lies is asked ever more rarely.
    const lies = code === 'wrong-bytes'
    const done = telling.now()?.done
    holds.hold(release, reason, !lies && (done ?? 0) > 0)
    const state = lies || code === 'no-room' ? 'refused' : 'downloading'
    tell(release, { state, reason, ...(done !== undefined && { done }) })
  }

  async function attempt(wanted: Wish, signal: AbortSignal): Promise<boolean> {
    const stop = new AbortController()
    underWay = { release: wanted.release, stop }
    try {
      return await follow(wanted, AbortSignal.any([signal, stop.signal]))
    } catch (error) {
      if (!signal.aborted && !stop.signal.aborted) failed(wanted, error)
      return false
    } finally {
      underWay = undefined
    }
  }

  async function turn(signal: AbortSignal): Promise<boolean> {
    forgive(options)
    const wanted = wish()
    await filling?.tidy(wanted?.release)
    if (wanted === undefined) telling.done()
    if (wanted === undefined) return false
    const reason = obstacle(wanted, options)
    if (reason) tell(wanted.release, reason)
    return !reason && !holds.has(wanted.release) && attempt(wanted, signal)
  }

  return {
    wanted() {
      const [wanted, told] = [wish(), telling.now()]
      return wanted && told?.release === wanted.release ? { ...wanted, ...told } : undefined
    },
    async run(signal) {
      while (!signal.aborted) {
        const isOver = await turn(signal).catch((error: unknown) => {
          log.error({ err: error }, 'the versions on this board cannot be managed now')
          return false
        })
        if (isOver) return
        await bell.wait(holds.nextMs() ?? LONGEST_MS, signal)
      }
    },
    wake() {
      holds.reconnected()
      if (underWay && underWay.release !== wish()?.release) underWay.stop.abort()
      bell.ring()
    },
  }
}
