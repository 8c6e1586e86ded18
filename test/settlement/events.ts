// What befalls a history beside its consoles: owners earn, register wallets and change them, accounts are frozen, tables meddled with;
// and an operator says whose a wallet was that a restored database does not know.
import { attribute, lostShares } from '../../console/settlement/lost.ts'
import type { Token } from '../../console/settlement/solana.ts'
import type { History } from './histories.ts'
import type { Lab } from './lab.ts'
import type { World } from './payout-world.ts'
import { meddle } from './table-trouble.ts'

/** An account is frozen so often at most in one history. */
const FREEZES = 3

export interface Events {
  /** Whatever chance brings in one turn. */
  happen(): Promise<void>
  /** Nothing stands in the way of any payout any more. */
  heal(): Promise<void>
  /** Nothing will happen that brings more to pay. */
  readonly isOver: boolean
  /** Payments whose owner the operator had to name. */
  readonly attributed: number
}

export async function createEvents(
  lab: Lab,
  token: Token,
  world: World,
  { amounts, credits = 0, frozen = 0, paydays = 0, newWallets = 0, latecomers = 0, meddled }: History,
  random: () => number,
): Promise<Events> {
  const { owners } = world
  let [credited, payday, moved, freezes, attributed, isFrozen] = [0, 0, 0, 0, 0, false]
  const units = (): bigint => BigInt(1 + Math.floor(random() * 10 ** 6))
  const anybody = (): string => `owner${1 + Math.floor(random() * amounts.length)}`

  const freeze = (isNow: boolean): void => {
    for (const { wallet } of owners.slice(0, frozen)) lab.freeze(token, wallet, isNow)
    isFrozen = isNow
    freezes += isNow ? 1 : 0
  }

  const opened = new Set<string>()
  /** The operator lends the rent of one token account; whoever takes another wallet opens the account there, sooner or later. */
  const openAll = (): void => {
    for (const { id } of owners)
      for (const wallet of world.walletsOf(id).slice(1)) {
        if (opened.has(wallet)) continue
        opened.add(wallet)
        lab.openAccount(token, wallet)
      }
  }

  /** Whoever has no wallet here, or none any more, registers the one that it has. */
  const registerAll = async (): Promise<void> => {
    const rows = await world.store.db.selectFrom('wallets').select('payee').execute()
    const known = new Set(rows.map(({ payee }) => payee))
    for (const { id } of owners) if (!known.has(id)) await world.register(id)
  }

  const attributeAll = async (): Promise<void> => {
    const { db } = world.store
    for (const { wallet: address } of await lostShares(db)) {
      const payee = world.ownerOf(address)
      if (payee === undefined) throw new Error(`${address} was paid, and is nobody's`)
      const done = await db.transaction().execute((trx) => attribute(trx, { address, payee, now: lab.clock.now() }))
      if (!('refused' in done)) attributed++
    }
  }

  for (const { id } of owners.slice(0, latecomers))
    await world.store.db.deleteFrom('wallets').where('payee', '=', id).execute()
  if (frozen > 0) freeze(true)

  return {
    async happen() {
      if (isFrozen ? random() < 0.06 : freezes > 0 && freezes < FREEZES && random() < 0.05) freeze(!isFrozen)
      if (credited < credits && random() < 0.06) {
        credited++
        await world.credit(anybody(), units())
      }
      if (payday < paydays && random() < 0.04) {
        payday++
        for (const { id } of owners) await world.credit(id, units())
      }
      if (moved < newWallets && random() < 0.05) {
        moved++
        await world.register(anybody(), true)
      }
      if (random() < 0.1) openAll()
      if (random() < 0.1) await registerAll()
      if (random() < 0.2) await attributeAll()
      if (meddled && random() < 0.3) await world.list()
      if (meddled && random() < 0.01) await meddle(lab, world, random)
    },
    async heal() {
      if (isFrozen) freeze(false)
      openAll()
      await registerAll()
      await attributeAll()
    },
    get isOver() {
      return credited === credits && payday === paydays && moved === newWallets
    },
    get attributed() {
      return attributed
    },
  }
}
