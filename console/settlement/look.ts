// One look at the chain for all open batches: how far it is, what became of each attempt, and whose each marker is.
import type { OpenBatch } from './book.ts'
import type { MarkerSight, Sight } from './decide.ts'
import { batchOfMemo } from './memo.ts'
import type { HistoryEntry, PayoutChain } from './payer.ts'

export interface LookOptions {
  readonly chain: Pick<PayoutChain, 'finalized' | 'statuses' | 'existing' | 'history' | 'transfer'>
  /** Whether this signature stands in the database, of whatever batch. */
  readonly isKnown: (signature: string) => Promise<boolean>
  /**
   * The chain has a payout that this database does not know: nothing is paid before it is taken in. True when that was so
   * already: then what it has ended here may be given up.
   */
  readonly awaits: (signature: string) => boolean
}

export interface Look {
  /** The newest finalized slot. */
  readonly slot: number
  readonly sightOf: (batch: OpenBatch) => Sight
}

/** All of an address's history, newest first. */
export async function* historyOf(
  chain: Pick<PayoutChain, 'history'>,
  address: string,
  minSlot: number,
): AsyncGenerator<readonly HistoryEntry[]> {
  for (let before: string | undefined; ; ) {
    const page = await chain.history(address, { minSlot, ...(before !== undefined && { before }) })
    if (page.length === 0) return
    yield page
    before = page.at(-1)?.signature
  }
}

export function createLook({ chain, isKnown, awaits }: LookOptions) {
  /** Whose a marker is that is there. */
  const makerOf = async ({ marker, attempts }: OpenBatch, slot: number): Promise<MarkerSight> => {
    const own = new Set(attempts.map(({ signature }) => signature))
    let oldest: string | undefined
    for await (const page of historyOf(chain, marker ?? '', slot))
      for (const { signature, isFinal, hasFailed } of page) {
        if (!isFinal || hasFailed) continue
        if (own.has(signature)) return 'ours'
        oldest = signature
      }
    // Seen before it is final, or by a node that does not tell.
    const made = oldest === undefined ? undefined : await chain.transfer(oldest)
    if (made === undefined) return 'unclear'
    const isPayout = made.isOurs && made.memo !== undefined && batchOfMemo(made.memo) !== undefined
    if (!isPayout || (await isKnown(made.signature))) return 'taken'
    return awaits(made.signature) ? 'taken' : 'unclear'
  }

  const markersOf = async (batches: readonly OpenBatch[], slot: number): Promise<ReadonlyMap<string, MarkerSight>> => {
    const marked = batches.filter(({ marker }) => marker !== null)
    const sights = new Map<string, MarkerSight>()
    if (marked.length === 0) return sights
    const there = await chain.existing(marked.map(({ marker }) => marker ?? ''))
    for (const batch of marked) {
      const isThere = there.found.has(batch.marker ?? '')
      const absent = there.slot >= slot ? 'absent' : 'unclear'
      sights.set(batch.id, isThere ? await makerOf(batch, slot) : absent)
    }
    return sights
  }

  return async (open: readonly OpenBatch[]): Promise<Look> => {
    const signatures = open.flatMap(({ attempts }) => attempts.map(({ signature }) => signature))
    // In this order: a transaction unknown after its last valid height was final can never land.
    const { slot, height } = await chain.finalized()
    const statuses =
      signatures.length > 0 ? await chain.statuses(signatures) : { slot: 0, found: new Map<string, never>() }
    const isLive = (signature: string): boolean => {
      const status = statuses.found.get(signature)
      return status !== undefined && status.error === undefined
    }
    const unclear = open.filter(({ attempts }) => !attempts.some(({ signature }) => isLive(signature)))
    const markers = await markersOf(unclear, slot)
    return {
      slot,
      sightOf: ({ id, marker }) => ({
        finalizedHeight: height,
        current: statuses.slot >= slot,
        found: statuses.found,
        marker: marker === null ? 'none' : (markers.get(id) ?? 'unclear'),
      }),
    }
  }
}
