// What to do next with one lookup table: a pure function of its row and of what the chain has. Nothing here is needed for a
// payout; what is in doubt is given up, and its rent taken back.
import type { TableState } from '../../store/states.ts'
import { MAX_ADDRESSES, type TableSight } from './table-chain.ts'
import { ADDRESSES_PER_TRANSACTION } from './worth.ts'

export interface ShelfTable {
  readonly id: number
  /** Undefined until its first transaction is signed. */
  readonly address: string | undefined
  readonly state: Exclude<TableState, 'closed'>
  /** By index: what it lists, or is to list. */
  readonly accounts: readonly string[]
  readonly wallets: readonly string[]
  /** So many of them were seen on the chain, and so many will be there when all that was sent has landed. */
  readonly seen: number
  readonly sent: number
  /** What was sent for it last can land up to this block height. */
  readonly sentUntil: number
  readonly createdAt: number
  /** When something was last done for it. */
  readonly updatedAt: number
}

/** One look at the chain; the table was asked for after the finalized height was read. */
export interface TableLook {
  readonly now: number
  readonly table: TableSight | undefined
  /** The finalized slot and height. */
  readonly slot: number
  readonly height: number
  /** Whether the node that answered had seen at least that slot; if not, "not there" means nothing. */
  readonly isCurrent: boolean
}

export type TableStep =
  | { readonly do: 'make'; readonly accounts: readonly string[] }
  | { readonly do: 'extend'; readonly accounts: readonly string[] }
  | { readonly do: 'leave'; readonly why: string }
  | { readonly do: 'forget'; readonly why: string }
  | { readonly do: 'deactivate' | 'close' | 'wait' }

const WAIT = { do: 'wait' } as const
/** SlotHashes remembers 512 blocks, and a table is closed once its deactivation is not among them; some slots have no block. */
const COOL_DOWN_SLOTS = 640

/** For so long one node or another may not have heard of what was sent last. */
const DAY_MS = 86_400_000

/** Whether the chain lists what was written here and nothing else. */
export const isAsWritten = ({ addresses }: TableSight, accounts: readonly string[]): boolean =>
  addresses.length <= accounts.length && addresses.every((address, index) => address === accounts[index])

export function decideTable(row: ShelfTable, look: TableLook): TableStep {
  if (row.address === undefined)
    return row.state === 'leaving' ? { do: 'forget', why: 'it was never made' } : { do: 'make', accounts: more(row, 0) }
  if (!look.isCurrent) return WAIT
  const isOver = look.height > row.sentUntil
  if (look.table === undefined) return isOver ? stepOfAbsent(row, look) : WAIT
  if (!look.table.isOurs) return { do: 'forget', why: 'what lies at its address is not our lookup table' }
  return row.state === 'leaving' ? stepOfLeaving(look.table, look, isOver) : stepOfGrowing(row, look.table, isOver)
}

/** So many as fit into one transaction. */
const more = ({ accounts }: ShelfTable, from: number): readonly string[] =>
  accounts.slice(from, Math.min(from + ADDRESSES_PER_TRANSACTION, MAX_ADDRESSES))

function stepOfAbsent({ state, updatedAt }: ShelfTable, { now }: TableLook): TableStep {
  if (state === 'growing') return { do: 'leave', why: 'the chain has it not' }
  return now >= updatedAt + DAY_MS ? { do: 'forget', why: 'it is gone from the chain' } : WAIT
}

function stepOfGrowing(row: ShelfTable, table: TableSight, isOver: boolean): TableStep {
  if (table.deactivatedAt !== undefined) return { do: 'leave', why: 'it was deactivated' }
  if (!isAsWritten(table, row.accounts))
    return { do: 'leave', why: 'it lists other accounts than were written into it' }
  const there = table.addresses.length
  if (there === row.accounts.length) return WAIT
  // One at a time: were two on their way, nobody would know in which order they land.
  return there >= row.sent || isOver ? { do: 'extend', accounts: more(row, there) } : WAIT
}

function stepOfLeaving(table: TableSight, { slot }: TableLook, isOver: boolean): TableStep {
  if (!isOver) return WAIT
  if (table.deactivatedAt === undefined) return { do: 'deactivate' }
  return slot > table.deactivatedAt + COOL_DOWN_SLOTS ? { do: 'close' } : WAIT
}
