// Receipt batches of boards: verified, judged and credited, all of a batch or nothing of it, each once.
import type { KeyObject } from 'node:crypto'
import type { Kysely, Transaction } from 'kysely'
import type { Logger } from 'pino'
import type { AckMessage } from '../../broker/protocol/messages.ts'
import { type ReceiptBatch, type VerifiedBatch, verifyBatch } from '../../broker/protocol/receipts.ts'
import { createGroupCommit, type Work } from '../store/group-commit.ts'
import type { Store } from '../store/open.ts'
import type { Database } from '../store/schema.ts'
import { linkOf } from './chain.ts'
import { type Credit, type CreditSettings, creditBatch } from './credit.ts'
import { post, type Transfer } from './ledger.ts'

export type Rejection = Extract<VerifiedBatch, { ok: false }>['reason'] | 'chain-fork' | 'unknown-device'

/** An ack to send (`upTo` is what is stored of the chain); why the batch is refused; or that it must come again. */
export type Ingested =
  | { readonly ack: AckMessage }
  | { readonly rejected: Rejection; readonly ack?: AckMessage }
  /** A task in it is this board's and its result is not in yet: no ack, so the board sends both again. */
  | { readonly waiting: true }

export type ReceiptsEvent =
  | ({ readonly type: 'receipts-stored'; readonly device: string } & Credit)
  | { readonly type: 'batch-rejected'; readonly device: string; readonly reason: Rejection }

export interface ReceiptsOptions {
  readonly store: Store
  readonly now: () => number
  /** Undefined for a board that is unknown or removed. */
  readonly devicePublicKey: (device: string) => Promise<KeyObject | undefined> | KeyObject | undefined
  /** sha256 of the model file of `id` or `id@version`; undefined when the catalogue has none. */
  readonly modelDigest: (model: string) => string | undefined
  readonly settings: CreditSettings
  readonly emit: (event: ReceiptsEvent) => void
  readonly log: Logger
}

export interface ReceiptsStats {
  readonly batches: number
  readonly repeated: number
  readonly waiting: number
  readonly rejected: Readonly<Partial<Record<Rejection, number>>>
}

export interface Receipts {
  /** A compact JWS as a board published it. Never rejects for what a board may send. */
  ingest(device: string, jws: string): Promise<Ingested>
  /** Since the start. */
  stats(): ReceiptsStats
}

interface Arrival {
  readonly batch: ReceiptBatch
  readonly hash: string
  readonly jws: string
}

type Stored = Ingested & { readonly credit?: Credit; readonly isRepeated?: boolean }

async function keepBatch(trx: Kysely<Database>, { batch, hash, jws }: Arrival, now: number): Promise<void> {
  const { device, chain, seq, prev } = batch
  await trx
    .insertInto('receipt_batches')
    .values({ device_id: device, chain, seq, hash, prev, jws, received_at: now })
    .execute()
}

export function createReceipts(options: ReceiptsOptions): Receipts {
  const { store, now, devicePublicKey, modelDigest, settings, emit, log } = options
  const counts = { batches: 0, repeated: 0, waiting: 0 }
  const rejected: Partial<Record<Rejection, number>> = {}

  async function take(trx: Transaction<Database>, arrival: Arrival, transfers: Transfer[]): Promise<Stored> {
    const { batch, hash } = arrival
    const { chain, seq } = batch
    const link = await linkOf(trx, batch, hash)
    if (link.kind === 'fork') return { rejected: 'chain-fork', ack: { chain, upTo: 0, forked: true } }
    if (link.kind !== 'next') return { ack: { chain, upTo: link.upTo }, isRepeated: true }
    const credited = await creditBatch(trx, { batch, now: now(), modelDigest, settings })
    if (credited === 'unknown-device') return { rejected: 'unknown-device' }
    if (credited === 'waits') return { waiting: true }
    await keepBatch(trx, arrival, now())
    transfers.push(...credited.transfers)
    return { ack: { chain, upTo: seq }, credit: { ...credited.credit } }
  }

  function count(device: string, stored: Stored): void {
    if ('rejected' in stored) refuse(device, stored.rejected)
    else if ('waiting' in stored) counts.waiting += 1
    else if (stored.isRepeated) counts.repeated += 1
    else counts.batches += 1
    if (stored.credit) emit({ type: 'receipts-stored', device, ...stored.credit })
  }

  function refuse(device: string, reason: Rejection): Ingested {
    rejected[reason] = (rejected[reason] ?? 0) + 1
    log.warn({ device, reason }, 'a receipt batch was refused')
    emit({ type: 'batch-rejected', device, reason })
    return { rejected: reason }
  }

  const group = createGroupCommit<Arrival, Ingested>({
    db: store.db,
    async work(trx, arrivals): Promise<Work<Ingested>> {
      const transfers: Transfer[] = []
      const outs: Stored[] = []
      for (const arrival of arrivals) outs.push(await take(trx, arrival, transfers))
      await post(trx, transfers)
      const after = (): void => {
        outs.forEach((stored, index) => {
          count(arrivals[index]?.batch.device ?? '', stored)
        })
      }
      return { outs: outs.map(outcomeOf), after }
    },
    // Nothing is kept in memory: the rows are all there is.
    recover: async () => undefined,
  })

  return {
    async ingest(device, jws) {
      const key = await devicePublicKey(device)
      if (!key) return refuse(device, 'unknown-device')
      const verified = verifyBatch(jws, device, key)
      if (!verified.ok) return refuse(device, verified.reason)
      return group.run({ batch: verified.batch, hash: verified.hash, jws })
    },
    stats: () => ({ ...counts, rejected: { ...rejected } }),
  }
}

const outcomeOf = (stored: Stored): Ingested => {
  if ('rejected' in stored) return stored
  return 'ack' in stored ? { ack: stored.ack } : { waiting: true }
}
