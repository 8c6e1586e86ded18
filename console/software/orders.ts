// What the operator says of a rollout: begin, stop, go on, go back. Each is refused with the reason where it makes no sense.
import { RegistryError } from '../registry/registry-error.ts'
import type { SeenBoard } from './decide.ts'
import type { SoftwareShelf } from './releases.ts'
import { chooseCanaries, type Rollout, type Tries } from './rings.ts'
import type { RolloutBook } from './rollout-book.ts'

interface Options {
  readonly book: RolloutBook
  readonly shelf: Pick<SoftwareShelf, 'find' | 'list'>
  /** Boards that have a release of this version. */
  readonly membersOf: (version: string) => readonly SeenBoard[]
}

export interface Orders {
  start(version: string, named: readonly string[] | undefined): Promise<Rollout>
  stop(reason: string): Promise<Rollout>
  resume(): Promise<Rollout>
  rollBack(): Promise<Rollout>
}

const ACTIVE: ReadonlySet<Rollout['state']> = new Set(['canary', 'widening'])
const wrong = (message: string): RegistryError => new RegistryError('wrong-state', message)

export function createOrders({ book, shelf, membersOf }: Options): Orders {
  function newest(): Rollout {
    const [rollout] = book.list()
    if (!rollout) throw wrong('There was no rollout yet.')
    return rollout
  }

  /** Those that were named, if they can run it; else some by lot. */
  function canariesFor(version: string, named: readonly string[] | undefined): readonly string[] {
    const members = membersOf(version)
    const stranger = named?.find((device) => !members.some(({ id }) => id === device))
    if (stranger !== undefined)
      throw new RegistryError('unknown-release', `${stranger} is no board that can run a release of ${version}.`)
    const there = members.filter(({ online }) => online).map(({ id }) => id)
    if (named === undefined && there.length === 0)
      throw wrong(`No board is online that could try ${version} first: wait for one, or name it.`)
    return named ?? chooseCanaries(there, version)
  }

  return {
    async start(version, named) {
      const [before] = book.list()
      if (before && ACTIVE.has(before.state))
        throw wrong(`${before.version} is on its way: stop it first, or wait until it is everywhere.`)
      if (!shelf.list().some(({ release }) => release.version === version && shelf.find(version, release.arch)))
        throw new RegistryError('unknown-release', `There is no release ${version}: publish it first.`)
      const canaries = canariesFor(version, named)
      return book.begin(version, canaries, `began with ${canaries.length} of ${membersOf(version).length} boards`)
    },

    async stop(reason) {
      const rollout = newest()
      const { state, ring } = rollout
      if (state !== 'canary' && state !== 'widening') throw wrong(`The rollout of ${rollout.version} is ${state}.`)
      return book.move({ ...rollout, state }, { state: 'stopped', ring, reason }, `stopped: ${reason}`)
    },

    async resume() {
      const rollout = newest()
      const { state, ring } = rollout
      if (state !== 'stopped') throw wrong(`The rollout of ${rollout.version} is ${state}, not stopped.`)
      const to = { state: ring === 0 ? 'canary' : 'widening', ring, again: true } as const
      return book.move({ ...rollout, state }, to, 'resumed')
    },

    async rollBack() {
      const rollout = newest()
      const { state, ring, version } = rollout
      if (state === 'rolled-back') throw wrong(`The rollout of ${version} was rolled back already.`)
      const hasBefore = book.list().some((one) => one.id !== rollout.id && one.state === 'done')
      const tries: Tries = book.triesOf(rollout.id)
      if (!hasBefore && tries.size > 0)
        throw wrong('No version was everywhere before this one: publish the one that boards had, and roll that out.')
      const what = 'rolled back: boards go to the version before'
      return book.move({ ...rollout, state }, { state: 'rolled-back', ring }, what)
    },
  }
}
