// Epochs that were closed and whose head a payout carried onto the chain: real receipts of a real board, and a transaction
// signed with the real library.
import { Keypair, PublicKey, SystemProgram, Transaction, TransactionInstruction } from '@solana/web3.js'
import { FIRST_PREV, hashOfBatch, signBatch } from '../../broker/protocol/receipts.ts'
import { closeEpoch, newestHead } from '../../console/rewards/epochs.ts'
import { createReceipts } from '../../console/rewards/receipts.ts'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import { MEMO_PROGRAM } from '../../console/settlement/spl.ts'
import type { Store } from '../../console/store/open.ts'
import { type Board, candidate, item, MODEL_DIGEST, type Pool, silent, success } from '../market/pool.ts'

export const HOLD_MS = 10_000
export const TREASURY = Keypair.fromSeed(Buffer.alloc(32, 7))
export const FEE_PAYER = Keypair.fromSeed(Buffer.alloc(32, 8))
const RUNTIME = { ort: '1.30.0', provider: 'cpu', cpu: 'x64', decoder: 'd', flags: [] }

export interface Anchored {
  /** Batches of so many credited receipts each, then the close of their epoch. */
  epoch(...counts: number[]): Promise<void>
  /** A final payout that names the newest head; its batch id. */
  anchor(batch: string, state?: 'sent' | 'finalized'): Promise<void>
}

export function createAnchored(store: Store, pool: Pool, board: Board): Anchored {
  pool.boards.push(candidate(board.device))
  let [seq, prev, number] = [1, FIRST_PREV, 0]
  const receipts = createReceipts({
    store,
    now: () => pool.clock.now,
    devicePublicKey: () => board.publicKey,
    modelDigest: () => MODEL_DIGEST,
    settings: { holdMs: HOLD_MS, feeBps: 1000, royaltyBps: 500 },
    emit: () => undefined,
    log: silent,
  })

  async function credit(count: number): Promise<void> {
    const items = []
    for (let i = 0; i < count; i++) {
      await pool.offer(`t-${++number}`)
      const task = pool.leasedTo(board.device).at(-1) ?? ''
      await pool.dispatcher.result(board.device, task, success(board.device, task, pool.clock.now))
      items.push(item(task, pool.clock.now, { ms: 1 + number / 7 }))
    }
    const jws = signBatch(
      { device: board.device, boot: 'b', chain: 'chain-1', seq, prev, runtime: RUNTIME, items },
      board.key,
    )
    const answer = await receipts.ingest(board.device, jws)
    if (!('ack' in answer)) throw new Error(`the batch was not taken: ${JSON.stringify(answer)}`)
    seq += 1
    prev = hashOfBatch(jws)
  }

  return {
    async epoch(...counts) {
      for (const count of counts) await credit(count)
      pool.clock.now += HOLD_MS
      await store.db.transaction().execute((trx) => closeEpoch(trx, pool.clock.now))
    },
    async anchor(batch, state = 'finalized') {
      const { wire, signature } = signAnchor(`bramble:${batch}:${await newestHead(store.db)}`)
      const { id: epoch } = await store.db
        .selectFrom('epochs')
        .select('id')
        .where('head', 'is not', null)
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirstOrThrow()
      await store.db
        .insertInto('payout_batches')
        .values({
          id: batch,
          epoch_id: epoch,
          state,
          memo: `bramble:${batch}:${await newestHead(store.db)}`,
          marker_lamports: 0,
          created_at: pool.clock.now,
          updated_at: pool.clock.now,
        })
        .execute()
      await store.db
        .insertInto('payout_attempts')
        .values({
          batch_id: batch,
          attempt: 1,
          signature,
          wire,
          blockhash: 'b',
          last_valid_block_height: 1,
          signed_at: pool.clock.now,
        })
        .execute()
    },
  }
}

/** A legacy transaction as payouts are: another pays its fee, the treasury moves something, a memo says what. */
export function signAnchor(memo: string, program = MEMO_PROGRAM): { wire: Uint8Array; signature: string } {
  const blockhash = encodeBase58(Buffer.alloc(32, 9))
  const transaction = new Transaction({ feePayer: FEE_PAYER.publicKey, blockhash, lastValidBlockHeight: 1 })
  transaction.add(
    SystemProgram.transfer({ fromPubkey: TREASURY.publicKey, toPubkey: FEE_PAYER.publicKey, lamports: 1 }),
    new TransactionInstruction({ programId: new PublicKey(program), keys: [], data: Buffer.from(memo) }),
  )
  transaction.sign(FEE_PAYER, TREASURY)
  if (!transaction.signature) throw new Error('nothing was signed')
  return { wire: transaction.serialize(), signature: encodeBase58(transaction.signature) }
}
