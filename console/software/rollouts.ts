// One version of the agent at a time on its way to the fleet, ring by ring: what boards say of it is noted, and the rollout opens its next
// ring, ends, or stops by itself. Everything is in the database before anybody is told.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { SoftwareState } from '../../broker/protocol/messages.ts'
import type { Arch } from '../../broker/protocol/software.ts'
import type { Database } from '../store/schema.ts'
import { decide, progress, type SeenBoard, type Step } from './decide.ts'
import { createOrders } from './orders.ts'
import { type KeptSoftware, type SoftwareShelf, stepTo } from './releases.ts'
import { RINGS, type Rollout, rolloutsFor, type Tries, type Try } from './rings.ts'
import { openRolloutBook } from './rollout-book.ts'

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
  /** What a board says of its agent. */
  readonly softwareOf: (device: string) => SoftwareState | undefined
  readonly now: () => number
  /** Boards may be wished something else than before. */
  readonly changed: () => void
  readonly log: Logger
}

export async function openRollouts({ db, shelf, boards, softwareOf, now, changed, log }: Options): Promise<Rollouts> {
  const book = await openRolloutBook({ db, now, changed, log })
  /** Releases of the rollouts that are for this board, newest first. */
  const offersFor = (device: string, arch: Arch): KeptSoftware[] =>
    rolloutsFor(device, book.list(), book.triesOf).flatMap(({ version }) => shelf.find(version, arch) ?? [])
  function releaseFor({ id, software }: SeenBoard, version: string): KeptSoftware | undefined {
    const kept = software && shelf.find(version, software.arch)
    // It joins in once it has taken the step before.
    return kept && stepTo(kept, () => offersFor(id, software.arch), software) ? undefined : kept
  }
  /** A board whose agent cannot update itself, or has no release for its architecture, has no part in it. */
  const membersOf = (version: string): SeenBoard[] => boards().filter((board) => releaseFor(board, version))
  const orders = createOrders({ book, shelf, membersOf })
  let last: Promise<unknown> = Promise.resolve()

  /** One after the other: each is read from memory and written to both. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }

  async function note({ id, version }: Rollout): Promise<void> {
    const tries = book.triesOf(id)
    const news = membersOf(version).flatMap((board): [string, Try][] => {
      const before = tries.get(board.id)
      const release = releaseFor(board, version)?.digest
      const after = release === undefined ? before : progress(board, release, before, now())
      return after === undefined || after === before ? [] : [[board.id, after]]
    })
    for (const [device, { state, reason }] of news)
      if (state === 'failed') log.warn({ device, version, reason }, 'software: a board failed it')
    if (news.length > 0) await book.note(id, news)
  }

  async function take(rollout: Rollout, step: Step): Promise<void> {
    const { state, ring } = rollout
    if (state !== 'canary' && state !== 'widening') return
    if (step.kind === 'stop') await orders.stop(step.reason)
    else if (step.kind === 'done') await book.move({ ...rollout, state }, { state: 'done', ring }, 'is everywhere')
    else if (state === 'widening') await book.open(rollout, step.ring, `opened to ${RINGS[step.ring]}`)
    else await book.move({ ...rollout, state }, { state: 'widening', ring: step.ring }, `opened to ${RINGS[step.ring]}`)
  }

  async function turn(): Promise<void> {
    for (const rollout of book.list()) if (rollout.state !== 'rolled-back') await note(rollout)
    const [rollout] = book.list()
    const step = rollout && decide(rollout, membersOf(rollout.version), book.triesOf(rollout.id))
    if (rollout && step) await take(rollout, step)
  }

  return {
    list: book.list,
    triesOf: book.triesOf,
    wantedBy(device, arch) {
      const offers = offersFor(device, arch)
      const [newest] = offers
      const running = softwareOf(device)
      // Where no step leads to it, the board is told all the same, and says why it cannot run it.
      return (newest && running && stepTo(newest, () => offers, running)) ?? newest
    },
    start: (version, canaries) => inTurn(() => orders.start(version, canaries)),
    stop: () => inTurn(() => orders.stop('by the operator')),
    resume: () => inTurn(orders.resume),
    rollBack: () => inTurn(orders.rollBack),
    turn: () => inTurn(turn),
  }
}
