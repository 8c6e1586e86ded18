// One version of the agent at a time on its way to the fleet, ring by ring: what boards say of it is noted, and the rollout opens its next
// ring, ends, or stops by itself. Everything is in the database before anybody is told.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { Arch } from '../../broker/protocol/software.ts'
import { RegistryError } from '../registry/registry-error.ts'
import type { Database } from '../store/schema.ts'
import { decide, progress, type SeenBoard, type Step } from './decide.ts'
import type { KeptSoftware, SoftwareShelf } from './releases.ts'
import { chooseCanaries, RINGS, type Rollout, type Tries, type Try, wantedOf } from './rings.ts'
import { loadRollouts, writeMove, writeRing, writeStart, writeTries } from './rollout-rows.ts'

export interface Rollouts {
  /** Newest first. */
  list(): readonly Rollout[]
  triesOf(rollout: number): Tries
  /** What a board of this architecture should run; undefined: it stays as it is. */
  wantedBy(device: string, arch: Arch): KeptSoftware | undefined
  /** Begins with these boards, or some that are drawn. Rejects with RegistryError, as the others do. */
  start(version: string, canaries?: readonly string[]): Promise<Rollout>
  stop(): Promise<Rollout>
  /** A stopped one goes on where it was; boards that failed try once more. */
  resume(): Promise<Rollout>
  /** Every board goes back to the version before. */
  rollBack(): Promise<Rollout>
  /** Notes what boards said and takes the next step, if one is due. */
  turn(): Promise<void>
}

interface Options {
  readonly db: Kysely<Database>
  readonly shelf: Pick<SoftwareShelf, 'find' | 'list'>
  readonly boards: () => readonly SeenBoard[]
  readonly now: () => number
  /** Boards may be wished something else than before. */
  readonly changed: () => void
  readonly log: Logger
}

const NONE: Tries = new Map()
const ACTIVE: ReadonlySet<Rollout['state']> = new Set(['canary', 'widening'])
const wrong = (message: string): RegistryError => new RegistryError('wrong-state', message)

export async function openRollouts({ db, shelf, boards, now, changed, log }: Options): Promise<Rollouts> {
  const memory = await loadRollouts(db)
  let last: Promise<unknown> = Promise.resolve()

  /** One after the other: each is read from memory and written to both. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }

  const triesOf = (rollout: number): Tries => memory.tries.get(rollout) ?? NONE
  const releaseFor = ({ software }: SeenBoard, version: string) => software && shelf.find(version, software.arch)
  /** A board whose agent cannot update itself, or has no release for its architecture, has no part in it. */
  const membersOf = (version: string): SeenBoard[] => boards().filter((board) => releaseFor(board, version))

  function newest(): Rollout {
    const [rollout] = memory.rollouts
    if (!rollout) throw wrong('There was no rollout yet.')
    return rollout
  }

  function put(after: Rollout | undefined, what: string): Rollout {
    if (!after) throw wrong('The rollout has moved on meanwhile: look again.')
    memory.rollouts = memory.rollouts.map((rollout) => (rollout.id === after.id ? after : rollout))
    log.info({ rollout: after.id, version: after.version, state: after.state, ring: after.ring }, what)
    changed()
    return after
  }

  async function start(version: string, named: readonly string[] | undefined): Promise<Rollout> {
    const [before] = memory.rollouts
    if (before && ACTIVE.has(before.state))
      throw wrong(`${before.version} is on its way: stop it first, or wait until it is everywhere.`)
    if (!shelf.list().some(({ release }) => release.version === version && shelf.find(version, release.arch)))
      throw new RegistryError('unknown-release', `There is no release ${version}: publish it first.`)
    const members = membersOf(version)
    const stranger = named?.find((device) => !members.some(({ id }) => id === device))
    if (stranger !== undefined)
      throw new RegistryError('unknown-release', `${stranger} is no board that can run a release of ${version}.`)
    const there = members.filter(({ online }) => online).map(({ id }) => id)
    if (named === undefined && there.length === 0)
      throw wrong(`No board is online that could try ${version} first: wait for one, or name it.`)
    const canaries = named ?? chooseCanaries(there, version)
    const what = `began with ${canaries.length} of ${members.length} boards`
    const rollout = await writeStart(db, { version, canaries }, what, now())
    memory.tries.set(rollout.id, new Map())
    memory.rollouts = [rollout, ...memory.rollouts]
    return put(rollout, `software: ${what}`)
  }

  async function stop(rollout: Rollout, reason: string): Promise<Rollout> {
    const { state, ring } = rollout
    if (state !== 'canary' && state !== 'widening') throw wrong(`The rollout of ${rollout.version} is ${state}.`)
    const after = await writeMove(
      db,
      { ...rollout, state },
      { state: 'stopped', ring, reason },
      `stopped: ${reason}`,
      now(),
    )
    return put(after, `software: stopped: ${reason}`)
  }

  async function resume(): Promise<Rollout> {
    const rollout = newest()
    const { state, ring } = rollout
    if (state !== 'stopped') throw wrong(`The rollout of ${rollout.version} is ${state}, not stopped.`)
    const to = { state: ring === 0 ? 'canary' : 'widening', ring, again: true } as const
    const after = put(await writeMove(db, { ...rollout, state }, to, 'resumed', now()), 'software: resumed')
    const tries = memory.tries.get(rollout.id)
    for (const [device, mine] of tries ?? []) if (mine.state === 'failed') tries?.delete(device)
    return after
  }

  async function rollBack(): Promise<Rollout> {
    const rollout = newest()
    const { state, ring, version } = rollout
    if (state === 'rolled-back') throw wrong(`The rollout of ${version} was rolled back already.`)
    const hasBefore = memory.rollouts.some((one) => one.id !== rollout.id && one.state === 'done')
    if (!hasBefore && triesOf(rollout.id).size > 0)
      throw wrong('No version was everywhere before this one: publish the one that boards had, and roll that out.')
    const what = 'rolled back: boards go to the version before'
    const after = await writeMove(db, { ...rollout, state }, { state: 'rolled-back', ring }, what, now())
    return put(after, `software: ${what}`)
  }

  async function note(rollout: Rollout): Promise<void> {
    const tries = memory.tries.get(rollout.id) ?? new Map<string, Try>()
    const news = membersOf(rollout.version).flatMap((board): [string, Try][] => {
      const before = tries.get(board.id)
      const release = releaseFor(board, rollout.version)?.digest
      const after = release === undefined ? before : progress(board, release, before, now())
      return after === undefined || after === before ? [] : [[board.id, after]]
    })
    if (news.length === 0) return
    await writeTries(db, rollout.id, news)
    for (const [device, mine] of news) tries.set(device, mine)
    const failed = news.filter(([, { state }]) => state === 'failed')
    for (const [device, { reason }] of failed)
      log.warn({ device, version: rollout.version, reason }, 'software: a board failed it')
    if (failed.length > 0) changed()
  }

  async function take(rollout: Rollout, step: Step): Promise<void> {
    const { state, ring } = rollout
    if (step.kind === 'stop') await stop(rollout, step.reason)
    else if (step.kind === 'done' && (state === 'canary' || state === 'widening'))
      put(await writeMove(db, { ...rollout, state }, { state: 'done', ring }, 'is everywhere', now()), 'software: done')
    else if (step.kind === 'open') {
      const what = `opened to ${RINGS[step.ring]}`
      const opened =
        state === 'canary'
          ? await writeMove(db, { ...rollout, state }, { state: 'widening', ring: step.ring }, what, now())
          : await writeRing(db, rollout, step.ring, what, now())
      put(opened, `software: ${what}`)
    }
  }

  return {
    list: () => memory.rollouts,
    triesOf,
    wantedBy(device, arch) {
      const has = (version: string): boolean => shelf.find(version, arch) !== undefined
      const rollout = wantedOf(device, memory.rollouts, triesOf, has)
      return rollout && shelf.find(rollout.version, arch)
    },
    start: (version, canaries) => inTurn(() => start(version, canaries)),
    stop: () => inTurn(async () => stop(newest(), 'by the operator')),
    resume: () => inTurn(resume),
    rollBack: () => inTurn(rollBack),
    turn: () =>
      inTurn(async () => {
        for (const rollout of memory.rollouts) if (rollout.state !== 'rolled-back') await note(rollout)
        const [rollout] = memory.rollouts
        const step = rollout && decide(rollout, membersOf(rollout.version), triesOf(rollout.id))
        if (rollout && step) await take(rollout, step)
      }),
  }
}
