// Which version of the agent this board runs, and how it gets another one from its console: fetched and checked beside the one that
// runs, switched by one rename, watched for some minutes, and given up by the launcher where it does not show itself well.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { SoftwareState } from '../broker/protocol/messages.ts'
import type { Desired } from '../broker/protocol/packages.ts'
import { type Arch, verifySoftware } from '../broker/protocol/software.ts'
import { proveGoldens } from '../models/proof.ts'
import type { InferenceHost } from '../models/runtime/host.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Serving } from './frames/serving.ts'
import type { Work } from './frames/work.ts'
import type { Membership } from './membership.ts'
import { OUTBOX_READS } from './outbox/migrations.ts'
import { createBreath } from './packages/bell.ts'
import { openStaging } from './packages/staging.ts'
import { createTransfer } from './packages/transfer.ts'
import { type Publishers, readPins, TrustError } from './packages/trust.ts'
import { type Confirming, createConfirming } from './software/confirming.ts'
import { createFilling, damagedIn } from './software/filling.ts'
import { judge } from './software/judging.ts'
import { archOf, type Place, placeOf } from './software/place.ts'
import { openSlots, type Slots } from './software/slots.ts'
import { condemnStart, excuseStart } from './software/starts.ts'
import { createUpdating, type Updating } from './software/updating.ts'

export interface Software {
  /** For the birth message; undefined on a machine that no package is made for. */
  state(): SoftwareState | undefined
  notices(): string[]
  /** The service serves. */
  ready(): void
  /** A heartbeat went out over a connection to the broker. */
  beat(): void
  /** No model can be run: where files of this version are damaged, the next start runs the one before, and `replaced` resolves. */
  unfit(): Promise<void>
  run(signal: AbortSignal): Promise<void>
  /** The console wants something else, or is within reach again. */
  wake(): void
  /** Resolves once another version has taken over: this process should end. */
  readonly replaced: Promise<void>
}

interface Options {
  readonly config: Config
  readonly membership: Membership
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the console said last. */
  readonly desired: () => Desired | undefined
  readonly serving: Pick<Serving, 'served'>
  readonly host: InferenceHost
  readonly work: Pick<Work, 'load'>
  readonly freeBytes: () => Promise<number>
  /** What `state` answers has changed. */
  readonly changed: () => void
  readonly clock: Clock
  readonly log: Logger
}

/** 512 files with the longest paths make less. */
const RELEASE_BYTES = 320 * 1024

export function openSoftware(options: Options): Software {
  const { config, version, env, log } = options
  const arch = archOf(process.arch)
  const place = placeOf(env, config.data)
  const slots = place && openSlots(place.root)
  const replaced = Promise.withResolvers<void>()
  const release = place && slots && place.running !== 'packaged' ? slots.holds(place.running) : undefined
  const trial = place && slots?.onTrial() === place.running ? createTrial(options, slots) : undefined
  const keys = readKeys(options, place)
  const updating = arch && createUpdates(options, { place, slots, arch, keys, running: release }, replaced.resolve)
  if (!place) log.info('no launcher started this agent: it is not updated from the console')

  const stateNow = (): SoftwareState['state'] =>
    place === undefined || place.running === 'packaged'
      ? 'packaged'
      : slots?.onTrial() === place.running
        ? 'trial'
        : 'confirmed'

  return {
    state() {
      if (!arch) return undefined
      const wanted = updating?.wanted()
      const running = { version, arch, state: stateNow(), outboxReads: OUTBOX_READS }
      return { ...running, ...(release && { release }), ...(wanted && { wanted }) }
    },
    notices() {
      const before = slots?.goneBack()
      if (!before) return []
      return [`This board went back from version ${before.version} of the agent to ${version}: ${before.why}.`]
    },
    ready() {
      if (place) excuseStart(env)
      trial?.ready()
    },
    beat: () => trial?.beat(),
    async unfit() {
      if (!place || !slots || place.running === 'packaged') return
      const verified = verifySoftware(slots.signedIn(place.running) ?? '', (publisher) => keys.get(publisher))
      const file = verified.ok && (await damagedIn(slots.folderOf(place.running), verified.release))
      if (!file) return
      log.error({ file }, 'a file of this version of the agent is damaged, so what ran before takes over')
      slots.doubt(`${file} is damaged`)
      if (condemnStart(env)) replaced.resolve()
    },
    async run(signal) {
      await Promise.all([trial?.run(signal).then(() => updating?.wake()), updating?.run(signal)])
    },
    wake: () => updating?.wake(),
    replaced: replaced.promise,
  }
}

function createTrial({ config, serving, host, changed, clock, log }: Options, slots: Slots): Confirming {
  return createConfirming({
    trialMs: config.trialS * 1000,
    served: serving.served,
    prove: (pkg) => proveGoldens(host, pkg),
    confirm() {
      slots.confirm()
      log.info('this version of the agent has shown itself well and is kept')
      changed()
    },
    doubt: slots.doubt,
    clock,
    log,
  })
}

interface Here {
  readonly place: Place | undefined
  readonly slots: Slots | undefined
  readonly arch: Arch
  readonly keys: Publishers
  readonly running: string | undefined
}

/** Undefined without a console. */
function createUpdates(options: Options, here: Here, replaced: () => void): Updating | undefined {
  const { membership, work } = options
  const { renewal } = membership
  if (!renewal) return undefined
  return createUpdating({
    ...options,
    ...here,
    filling: here.place && here.slots && fillingOf(options, here, renewal),
    hasKeys: here.keys.size > 0,
    // What is owed lies in the outbox, and the next version sends it.
    isCalm: () => work.load() === 0,
    doubt: renewal.doubt,
    replaced,
    random: Math.random,
  })
}

function fillingOf(
  { work, freeBytes, clock }: Options,
  { place, slots, arch, keys }: Here,
  renewal: NonNullable<Membership['renewal']>,
) {
  if (!place || !slots) return undefined
  const staging = openStaging(place.root)
  const transfer = createTransfer({
    console: { url: renewal.current().console, bearer: () => renewal.current().credential },
    staging,
    freeBytes,
    breathe: createBreath({ isBusy: () => work.load() > 0, clock }),
    releaseBytes: RELEASE_BYTES,
  })
  const board = { arch, keys, outboxReads: OUTBOX_READS }
  return createFilling({ place, slots, staging, transfer, judge: (jws, wish) => judge(jws, wish, board) })
}

/** Never those that a console names: it would only have to name itself. A mistake there keeps no board from serving. */
function readKeys({ config, log }: Options, place: Place | undefined): Publishers {
  const keys = new Map<string, string>()
  const read = (pins: Parameters<typeof readPins>[0]): void => {
    try {
      for (const [id, key] of readPins(pins) ?? []) keys.set(id, key)
    } catch (error) {
      if (!(error instanceof TrustError)) throw error
      log.error({ reason: error.message }, 'publishers of software that are named there are not trusted')
    }
  }
  const file = place && join(place.packaged, 'software-keys')
  if (file !== undefined && existsSync(file)) read({ file })
  if (config.trustSoftware) read({ flag: '--trust-software', named: config.trustSoftware })
  return keys
}
