// The consoles of a history: they die at the steps that it names, and their database may come back as it was at an earlier moment.
import type { History } from './histories.ts'
import type { Lab } from './lab.ts'
import { CrashSignal, createLife } from './mortal.ts'
import type { World } from './payout-world.ts'

/** As if a packet held 582 bytes: two payouts to new wallets. */
const SMALLER_BYTES = 650

type Act = 'settleNow' | 'turn' | 'tend' | 'tidy'

interface Living {
  readonly engine: ReturnType<World['engine']>
  readonly holder: string
  readonly life: ReturnType<typeof createLife>
}

export interface Consoles {
  /** All at the same time; those that died of it are there again afterwards. */
  all(act: Act): Promise<void>
  /** Between two turns a backup is taken, or the power fails. */
  between(): Promise<void>
  /** No old database comes back any more. */
  settle(): void
  /** In the last turn nobody died, and nobody waited for anything. */
  readonly isCalm: boolean
  readonly crashes: number
  readonly restored: number
  /** Of the life with the most of them: the kinds of its steps so far. */
  readonly steps: readonly string[]
}

export function createConsoles(
  lab: Lab,
  world: World,
  { deaths, faults, writers = 1, restores = 0 }: History,
  random: () => number,
): Consoles {
  const ahead = [...deaths]
  let [crashes, restored, isSettled, isCalm] = [0, 0, false, false]
  const backups: { file: string; moves: number }[] = []
  const born = (holder: string): Living => {
    const life = createLife(ahead.shift())
    return { life, holder, engine: world.engine(life, holder) }
  }
  let living = Array.from({ length: writers }, (_, index) => born(`console-${index + 1}`))
  const mayForget = (): boolean => !isSettled && restored < restores

  const keep = async (): Promise<void> => {
    // An RPC that forgets, and a database of before it was ever compared: nobody is left to know.
    const mark = world.store.db.selectFrom('meta').select('key').where('key', 'like', 'payouts.compared.%')
    if (faults.forgets > 0 && !(await mark.executeTakeFirst())) return
    backups.push({ file: await world.backup(), moves: world.moves.length })
  }

  /** The database as the crash left it is kept for later, or it comes back as it was at any time before: then true. */
  const forget = async (): Promise<boolean> => {
    if (!mayForget()) return false
    const old = backups.filter(({ moves }) => moves + 3 < world.moves.length)
    const chosen = old[Math.floor(random() * old.length)]
    if (chosen === undefined || random() >= 0.7) {
      await keep()
      return false
    }
    await world.restore(chosen.file)
    // Then it is another version of the console, which cuts batches otherwise: their names alone would stop nothing.
    if (faults.forgets > 0) world.paddingBytes = SMALLER_BYTES
    restored++
    return true
  }

  const bury = async (dead: ReadonlySet<number>): Promise<void> => {
    if (dead.size === 0) return
    crashes += dead.size
    // Back at once, or after a blockhash has expired.
    if (random() < 0.5) lab.clock.advance(random() * 200_000)
    // Nobody goes on with a database that was replaced.
    const isOld = await forget()
    living = living.map((one, index) => (isOld || dead.has(index) ? born(one.holder) : one))
  }

  return {
    async all(act) {
      const dead = new Set<number>()
      const survive = async ({ engine }: Living, index: number): Promise<void> => {
        try {
          await engine[act]()
        } catch (error) {
          if (!(error instanceof CrashSignal)) throw error
          dead.add(index)
        }
      }
      await Promise.all(living.map(survive))
      isCalm = dead.size === 0 && living.every(({ engine }) => engine.standing().trouble === undefined)
      await bury(dead)
    },
    async between() {
      if (mayForget() && random() < 0.08) await keep()
      if (mayForget() && random() < 0.03) await bury(new Set([0]))
    },
    settle() {
      isSettled = true
    },
    get isCalm() {
      return isCalm
    },
    get crashes() {
      return crashes
    },
    get restored() {
      return restored
    },
    get steps() {
      const lives = living.map(({ life }) => life.steps)
      return lives.reduce((longest, steps) => (steps.length > longest.length ? steps : longest))
    },
  }
}
