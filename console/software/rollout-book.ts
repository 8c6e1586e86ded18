// Rollouts and the boards' progress, in memory and in the database alike: written first, then believed.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import { RegistryError } from '../registry/registry-error.ts'
import type { Database } from '../store/schema.ts'
import type { ROLLOUT_MOVES } from '../store/states.ts'
import type { Rollout, Tries, Try } from './rings.ts'
import { loadRollouts, type Move, writeMove, writeRing, writeStart, writeTries } from './rollout-rows.ts'

export interface RolloutBook {
  /** Newest first. */
  list(): readonly Rollout[]
  triesOf(rollout: number): Tries
  begin(version: string, canaries: readonly string[], what: string): Promise<Rollout>
  /** Rejects with RegistryError when it is not in that state any more. */
  move<F extends keyof typeof ROLLOUT_MOVES>(
    from: Rollout & { readonly state: F },
    to: Move<F>,
    what: string,
  ): Promise<Rollout>
  /** From one ring of the widening to the next. */
  open(from: Rollout, ring: number, what: string): Promise<Rollout>
  note(rollout: number, tries: readonly (readonly [device: string, mine: Try])[]): Promise<void>
}

interface Options {
  readonly db: Kysely<Database>
  readonly now: () => number
  /** Boards may be wished something else than before. */
  readonly changed: () => void
  readonly log: Logger
}

const NONE: Tries = new Map()

export async function openRolloutBook({ db, now, changed, log }: Options): Promise<RolloutBook> {
  const memory = await loadRollouts(db)

  function put(after: Rollout | undefined, what: string): Rollout {
    if (!after) throw new RegistryError('wrong-state', 'The rollout has moved on meanwhile: look again.')
    memory.rollouts = memory.rollouts.map((rollout) => (rollout.id === after.id ? after : rollout))
    const { id, version, state, ring } = after
    log.info({ rollout: id, version, state, ring }, `software: ${what}`)
    changed()
    return after
  }

  return {
    list: () => memory.rollouts,
    triesOf: (rollout) => memory.tries.get(rollout) ?? NONE,
    async begin(version, canaries, what) {
      const rollout = await writeStart(db, { version, canaries }, what, now())
      memory.tries.set(rollout.id, new Map())
      memory.rollouts = [rollout, ...memory.rollouts]
      return put(rollout, what)
    },
    async move(from, to, what) {
      const after = put(await writeMove(db, from, to, what, now()), what)
      const tries = memory.tries.get(from.id)
      if (to.again) for (const [device, { state }] of tries ?? []) if (state === 'failed') tries?.delete(device)
      return after
    },
    open: async (from, ring, what) => put(await writeRing(db, from, ring, what, now()), what),
    async note(rollout, tries) {
      await writeTries(db, rollout, tries)
      for (const [device, mine] of tries) memory.tries.get(rollout)?.set(device, mine)
      if (tries.some(([, { state }]) => state === 'failed')) changed()
    },
  }
}
