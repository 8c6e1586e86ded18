// Before anything is signed or sent after a start, the payouts on the chain are compared with those in the database. A
// database that came from a backup knows less than the chain: what it lacks is found by its memo and adopted.
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import type { Database } from '../store/schema.ts'
import type { PayoutState } from '../store/states.ts'
import { adopt } from './adopt.ts'
import { differences, NOTHING_YET, writeMark } from './differences.ts'
import type { WriterLease } from './lease.ts'
import { beyondNotice, lostTrouble } from './lost.ts'
import type { ChainTransfer, PayoutChain } from './payer.ts'
import type { Mode } from './round.ts'

export interface GateOptions {
  readonly db: Kysely<Database>
  readonly chain: Pick<PayoutChain, 'treasury' | 'markerOf' | 'finalized' | 'history' | 'transfer'>
  readonly lease: Pick<WriterLease, 'stillHeld'>
  readonly now: () => number
  readonly log: Logger
  readonly moved: (batch: string, state: PayoutState) => void
  /** Whether this signature stands in the database. */
  readonly isKnown: (signature: string) => Promise<boolean>
  /** Lookup tables that the treasury's history names; false when they must be told again. */
  readonly tablesSeen: (addresses: readonly string[]) => Promise<boolean>
  /**
   * Reads all that requesters paid in, before payouts are taken in: withdrawals are booked against it. Answers until when
   * that must wait. Absent where nobody pays in.
   */
  readonly readDeposits?: () => Promise<string | undefined>
  /**
   * Blocks to wait after a start, so that all that a lost database had sent has landed or expired; 0 for a chain that
   * executes at once what it is given.
   */
  readonly quietBlocks: number
}

interface Passed {
  readonly mode: Mode
  readonly trouble: string | undefined
}

export interface Gate {
  /** What may be done now, and why not more. One step towards `pay`, if it is not there yet. */
  pass(openBatches: number): Promise<Passed>
  readonly isOpen: boolean
  /** What people should know of what was taken in, though nothing waits for it. */
  readonly notice: string | undefined
  /** From now on the next comparison is needed first. */
  close(): void
  /** As close, until this payout is in the database; true when it was awaited already. */
  awaits(signature: string): boolean
}

type Chain = GateOptions['chain']

/** Final transfers never change: with many of them, each turn goes on from what the one before was answered. */
function remembering(chain: Chain): { readonly chain: Chain; forget(): void } {
  const known = new Map<string, ChainTransfer>()
  return {
    chain: {
      ...chain,
      async transfer(signature) {
        const found = known.get(signature) ?? (await chain.transfer(signature))
        if (found !== undefined) known.set(signature, found)
        return found
      },
    },
    forget: () => known.clear(),
  }
}

/** One step at a time; `step` answers why it is not done yet. */
function createComparison(options: GateOptions) {
  const memory = remembering(options.chain)
  const { chain } = memory
  const { db, lease, now, log, moved, isKnown, tablesSeen, readDeposits, quietBlocks } = options
  const awaited = new Set<string>()
  let isDone = false
  let firstHeight: number | undefined

  /** Oldest first, each by itself: a crash between two leaves the newest known as the place to go on from. */
  const adoptAll = async (unknown: readonly ChainTransfer[]): Promise<void> => {
    for (const transfer of unknown) {
      const id = await db.transaction().execute(async (trx) => {
        if (!(await lease.stillHeld(trx))) return undefined
        return adopt(trx, transfer, { now: now(), chain })
      })
      // Something was planned meanwhile: it is wound up first.
      if (id === undefined) return
      log.warn({ batch: id, signature: transfer.signature }, 'a payout was found on the chain and not here; adopted')
      moved(id, 'finalized')
    }
  }

  /** Nothing is missing here: neither what the comparison found, nor what was seen otherwise. */
  const isComplete = async (): Promise<boolean> => {
    for (const signature of awaited) {
      if (!(await isKnown(signature))) return false
      awaited.delete(signature)
    }
    return true
  }

  const takeIn = async (unknown: readonly ChainTransfer[], openBatches: number): Promise<Passed> => {
    for (const { signature } of unknown) awaited.add(signature)
    const trouble = `payouts wait: the chain has ${unknown.length} payout(s) that this database does not know; they are taken in`
    if (openBatches > 0) return { mode: 'wind-up', trouble }
    const waits = await readDeposits?.()
    if (waits !== undefined) return { mode: 'watch', trouble: `${trouble} when ${waits}` }
    await adoptAll(unknown)
    return { mode: 'watch', trouble }
  }

  return {
    close(): void {
      isDone = false
    },
    awaits(signature: string): boolean {
      const isNew = !awaited.has(signature)
      awaited.add(signature)
      isDone = false
      return !isNew
    },
    async step(openBatches: number): Promise<Passed | undefined> {
      if (isDone) return undefined
      const { slot, height } = await chain.finalized()
      firstHeight ??= height
      if (height < firstHeight + quietBlocks)
        return { mode: 'watch', trouble: 'payouts wait: what an earlier console may have sent is given time to land' }
      const { unknown, newest, tables, trouble } = await differences(db, chain, slot)
      if (trouble !== undefined) return { mode: 'watch', trouble }
      if (unknown.length > 0) return takeIn(unknown, openBatches)
      // Payouts do not wait for tables; they are told later, or found again at the next start.
      const isTold = tables.length === 0 || (await tablesSeen(tables))
      isDone = await isComplete()
      if (!isDone) return { mode: 'watch', trouble: NOTHING_YET }
      memory.forget()
      if (isTold && newest !== undefined) await writeMark(db, chain.treasury, newest)
      return undefined
    },
  }
}

export function createGate(options: GateOptions): Gate {
  const { db, now } = options
  const comparison = createComparison(options)
  let isOpen = false
  let notice: string | undefined

  return {
    get isOpen() {
      return isOpen
    },
    get notice() {
      return notice
    },
    close() {
      isOpen = false
      comparison.close()
    },
    awaits(signature) {
      isOpen = false
      return comparison.awaits(signature)
    },
    async pass(openBatches) {
      if (isOpen) return { mode: 'pay', trouble: undefined }
      const passed = await comparison.step(openBatches)
      if (passed !== undefined) return passed
      const trouble = await lostTrouble(db)
      isOpen = trouble === undefined
      if (isOpen) notice = await beyondNotice(db, now())
      // What is open might hold money of whoever is lost.
      return { mode: isOpen ? 'pay' : openBatches > 0 ? 'wind-up' : 'watch', trouble }
    },
  }
}
