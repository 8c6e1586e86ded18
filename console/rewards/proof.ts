// The proof of a receipt: that this board did this run, that the operator owed this amount for it, and that it said so on the
// chain. It holds all that is needed to check it without the console (settlement/verify.ts).
import type { Kysely } from 'kysely'
import { z } from 'zod'
import type { Database } from '../store/schema.ts'
import { leavesOf } from './commitments.ts'
import { type Beside, createAudit, FIRST_HEAD } from './merkle.ts'
import { FACT_COLUMNS, factsOf, ReceiptFacts } from './receipt-facts.ts'

const Hash = z.string().regex(/^[0-9a-f]{64}$/)

export const Proof = z.strictObject({
  format: z.literal('bramble-proof-1'),
  receipt: ReceiptFacts,
  /** What the board signed (compact JWS), and its key (32 bytes, base64url). */
  claim: z.strictObject({ jws: z.string(), publicKey: z.string() }),
  /** The hashes beside the way from the receipt's leaf up to the root of its epoch, lowest first. */
  path: z.array(z.union([z.strictObject({ left: Hash }), z.strictObject({ right: Hash })])),
  /** The head that the receipt's epoch followed. */
  before: Hash,
  /** From the receipt's epoch to the one whose head the transaction names. */
  roots: z.array(z.strictObject({ epoch: z.int().positive(), root: Hash })).min(1),
  /** The payout that carried the head onto the chain: its batch, its transaction (base64), and who signed it. */
  anchor: z.strictObject({
    batch: z.string(),
    transaction: z.string(),
    signature: z.string(),
    treasury: z.string(),
  }),
})
export type Proof = z.infer<typeof Proof>

export type Proven =
  | { readonly proof: Proof }
  | { readonly refused: 'unknown-receipt' | 'not-closed' | 'not-anchored'; readonly message: string }

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const receiptRow = (db: Kysely<Database>, id: number) =>
  db
    .selectFrom('receipts')
    .select([...FACT_COLUMNS, 'state', 'epoch_id'])
    .where('id', '=', id)
    .executeTakeFirst()

const claimOf = (db: Kysely<Database>, { device, chain, seq }: ReceiptFacts) =>
  db
    .selectFrom('receipt_batches')
    .innerJoin('devices', 'devices.id', 'device_id')
    .select(['jws', 'public_key as publicKey'])
    .where('device_id', '=', device)
    .where('chain', '=', chain)
    .where('seq', '=', seq)
    .executeTakeFirstOrThrow()

/** Committed epochs from `epoch` on, and the head before them. */
async function headsFrom(db: Kysely<Database>, epoch: number) {
  const before = await db
    .selectFrom('epochs')
    .select('head')
    .where('id', '<', epoch)
    .where('head', 'is not', null)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  const rows = await db
    .selectFrom('epochs')
    .select(['id', 'closed_at', 'root', 'head', 'leaves'])
    .where('id', '>=', epoch)
    .where('head', 'is not', null)
    .orderBy('id')
    .execute()
  return { before: before?.head ?? hex(FIRST_HEAD), rows }
}
type Heads = Awaited<ReturnType<typeof headsFrom>>['rows']

async function pathTo(db: Kysely<Database>, epoch: number, receipt: number, size: number): Promise<Beside[]> {
  const { index } = await db
    .selectFrom('receipts')
    .select((build) => build.fn.countAll<number>().as('index'))
    .where('epoch_id', '=', epoch)
    .where('id', '<', receipt)
    .executeTakeFirstOrThrow()
  const audit = createAudit(index, size)
  for await (const leaf of leavesOf(db, epoch)) audit.add(leaf)
  return audit.path()
}

const besideAsHex = (beside: Beside): Proof['path'][number] =>
  'left' in beside ? { left: hex(beside.left) } : { right: hex(beside.right) }

/** The first one will do, unless the clock was set back. */
const ANCHORS = 100

/** Final payouts planned since then whose memo names a head, oldest first, each with its one signed transaction. */
const anchors = (db: Kysely<Database>, since: number) =>
  db
    .selectFrom('payout_batches')
    .innerJoin('payout_attempts', 'payout_attempts.batch_id', 'payout_batches.id')
    .select(['payout_batches.id', 'memo', 'signature', 'wire'])
    .where('state', '=', 'finalized')
    .where('created_at', '>=', since)
    .where('memo', 'like', 'bramble:%:%')
    // Of a batch that was signed again it is not known here which of its transactions landed.
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('payout_attempts as other')
            .select('other.attempt')
            .whereRef('other.batch_id', '=', 'payout_batches.id')
            .whereRef('other.attempt', '<>', 'payout_attempts.attempt'),
        ),
      ),
    )
    .orderBy('created_at')
    .orderBy('payout_batches.id')
    .limit(ANCHORS)
    .execute()

async function anchorOf(db: Kysely<Database>, heads: Heads) {
  for (const row of await anchors(db, heads[0]?.closed_at ?? 0)) {
    const said = Buffer.from(row.memo.split(':')[2] ?? '', 'base64url').toString('hex')
    const named = heads.findIndex(({ head }) => head === said)
    if (named >= 0) return { ...row, roots: heads.slice(0, named + 1) }
  }
  return undefined
}

/** `treasury`: the address whose key signs payouts. */
export async function proofOf(db: Kysely<Database>, id: number, treasury: string): Promise<Proven> {
  const row = await receiptRow(db, id)
  if (row === undefined) return { refused: 'unknown-receipt', message: `There is no receipt ${id}.` }
  if (row.epoch_id === null)
    return {
      refused: 'not-closed',
      message: `Receipt ${id} is in no closed epoch (it is ${row.state}); ask again after the next settlement.`,
    }
  const epoch = row.epoch_id
  const { before, rows } = await headsFrom(db, epoch)
  const anchor = await anchorOf(db, rows)
  const size = rows[0]?.leaves
  if (anchor === undefined || rows[0]?.id !== epoch || size == null)
    return {
      refused: 'not-anchored',
      message: `No final payout names the head of epoch ${epoch} yet; ask again when the next one is final.`,
    }
  const receipt = factsOf(row)
  return {
    proof: {
      format: 'bramble-proof-1',
      receipt,
      claim: await claimOf(db, receipt),
      path: (await pathTo(db, epoch, id, size)).map(besideAsHex),
      before,
      roots: anchor.roots.map(({ id: number, root }) => ({ epoch: number, root: root ?? '' })),
      anchor: {
        batch: anchor.id,
        transaction: Buffer.from(anchor.wire).toString('base64'),
        signature: anchor.signature,
        treasury,
      },
    },
  }
}
