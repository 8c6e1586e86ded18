// Deposits compared with the chain, both ways: what came to each deposit account, as far as it was read, and what was noted of it.
import type { Kysely } from 'kysely'
import type { Database } from '../../store/schema.ts'
import { type Difference, unreadable } from '../reconcile.ts'
import type { DepositChain } from './deposit-chain.ts'
import { newArrivals } from './read.ts'

export interface DepositSide {
  readonly count: number
  /** Base units. */
  readonly units: bigint
}

export interface DepositComparison {
  readonly chain: DepositSide
  readonly ledger: DepositSide
  /** Transactions that are listed and were not read yet; the next look does. */
  readonly waiting: number
  readonly differences: readonly Difference[]
}

export interface DepositsOf {
  readonly requester: string
  readonly account: string
  /** By signature, base units that came in, of what was read. */
  readonly arrived: ReadonlyMap<string, bigint>
  /** Of what was read, what the RPC lists and does not tell. */
  readonly untold: readonly string[]
  /** By signature, as the database had it before the chain was read. */
  readonly noted: ReadonlyMap<string, bigint>
}

/** The differences of one account. Pure. */
export function depositDifferences({ requester, account, arrived, untold, noted }: DepositsOf): Difference[] {
  const missing = [...arrived].flatMap(([signature, units]): Difference[] => {
    const known = noted.get(signature)
    const brought = `brought ${units} base units to the deposit account of ${requester}`
    if (known === undefined)
      return [{ kind: 'deposit-missing', signature, detail: `a transaction ${brought}, and no deposit says so` }]
    if (known === units) return []
    return [{ kind: 'deposit-differs', signature, detail: `a transaction ${brought}, the deposit says ${known}` }]
  })
  const invented = [...noted].flatMap(([signature, units]): Difference[] => {
    if (arrived.has(signature) || untold.includes(signature)) return []
    const detail = `a deposit of ${units} base units of ${requester} is noted, and the chain has none at ${account}`
    return [{ kind: 'deposit-only-here', signature, detail }]
  })
  return [...missing, ...invented, ...unreadable(untold, account)]
}

type Chain = Pick<DepositChain, 'arrivals' | 'change'>
const AT_ONCE = 8

/** What came in, of these transactions. */
async function changesOf(chain: Chain, account: string, signatures: readonly string[]) {
  const arrived = new Map<string, bigint>()
  const untold: string[] = []
  for (let at = 0; at < signatures.length; at += AT_ONCE) {
    const part = signatures.slice(at, at + AT_ONCE)
    const changes = await Promise.all(part.map((signature) => chain.change(signature, account)))
    for (const [index, change] of changes.entries()) {
      const signature = part[index] ?? ''
      if (change === undefined) untold.push(signature)
      else if (change.units > 0n) arrived.set(signature, change.units)
    }
  }
  return { arrived, untold }
}

async function notedAt(db: Kysely<Database>, account: string): Promise<ReadonlyMap<string, bigint>> {
  const rows = await db
    .selectFrom('deposits')
    .select(['signature', 'amount_units'])
    .where('account', '=', account)
    .where('state', '!=', 'foreign')
    .execute()
  return new Map(rows.map(({ signature, amount_units }) => [signature, amount_units]))
}

const sideOf = (sums: readonly bigint[]): DepositSide => ({
  count: sums.length,
  units: sums.reduce((sum, units) => sum + units, 0n),
})

/** Rejects with ChainError when the chain does not answer. */
export async function compareDeposits(db: Kysely<Database>, chain: Chain): Promise<DepositComparison> {
  const addresses = await db.selectFrom('deposit_addresses').selectAll().orderBy('requester_id').execute()
  const [here, there]: [bigint[], bigint[]] = [[], []]
  const differences: Difference[] = []
  let waiting = 0
  for (const { requester_id: requester, account, read_up_to } of addresses) {
    // In this order: what was noted by now came from what was read by `read_up_to`, or is newer and not compared.
    const noted = await notedAt(db, account)
    const listed = await newArrivals(chain, account, undefined)
    const read = listed.findIndex(({ signature }) => signature === read_up_to) + 1
    if (read === 0 && read_up_to !== null) {
      differences.push(...unreadable([read_up_to], account))
      continue
    }
    waiting += listed.length - read
    const signatures = listed.slice(0, read).flatMap(({ signature, hasFailed }) => (hasFailed ? [] : [signature]))
    const { arrived, untold } = await changesOf(chain, account, signatures)
    const newer = new Set(listed.slice(read).map(({ signature }) => signature))
    const compared = new Map([...noted].filter(([signature]) => !newer.has(signature)))
    here.push(...compared.values())
    there.push(...arrived.values())
    differences.push(...depositDifferences({ requester, account, arrived, untold, noted: compared }))
  }
  return { chain: sideOf(there), ledger: sideOf(here), waiting, differences }
}
