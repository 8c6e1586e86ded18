// What closed epochs commit to: a Merkle root over the receipts of each, and one head over all roots so far. The head goes on
// chain in the memo of every payout, so that neither a receipt nor its amount can be changed or denied afterwards.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'
import { createFrontier, FIRST_HEAD, nextHead } from './merkle.ts'
import { FACT_COLUMNS, factsOf, leafOf } from './receipt-facts.ts'

/** Rows read at once: what the tree is made of need not be in memory. */
const ROWS = 5_000

/** The leaves of an epoch: its receipts by id. */
export async function* leavesOf(db: Kysely<Database>, epoch: number): AsyncGenerator<Uint8Array> {
  for (let after = 0; ; ) {
    const rows = await db
      .selectFrom('receipts')
      .select(FACT_COLUMNS)
      .where('epoch_id', '=', epoch)
      .where('id', '>', after)
      .orderBy('id')
      .limit(ROWS)
      .execute()
    for (const row of rows) yield leafOf(factsOf(row))
    if (rows.length < ROWS) return
    after = rows.at(-1)?.id ?? after
    // A long close shares the thread with everything that waits for no database.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Of an epoch's receipts as they are now. Throws RangeError for an epoch without any. */
async function treeOf(db: Kysely<Database>, epoch: number): Promise<{ root: Uint8Array; leaves: number }> {
  const tree = createFrontier()
  for await (const leaf of leavesOf(db, epoch)) tree.add(leaf)
  return { root: tree.root(), leaves: tree.size }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const newest = (db: Kysely<Database>) =>
  db.selectFrom('epochs').select('head').where('head', 'is not', null).orderBy('id', 'desc').limit(1)

/** The newest closed epoch's head as memos carry it: base64url, 43 characters. Undefined while none is closed. */
export async function newestHead(db: Kysely<Database>): Promise<string | undefined> {
  const row = await newest(db).executeTakeFirst()
  return row?.head ? Buffer.from(row.head, 'hex').toString('base64url') : undefined
}

/** Commits to every closed epoch that has no head yet: the one just closed, and those from before there were heads. */
export async function commitEpochs(trx: Kysely<Database>): Promise<void> {
  const before = (await newest(trx).executeTakeFirst())?.head
  const closed = await trx
    .selectFrom('epochs')
    .select('id')
    .where('closed_at', 'is not', null)
    .where('head', 'is', null)
    .orderBy('id')
    .execute()
  let head: Uint8Array = before ? Buffer.from(before, 'hex') : FIRST_HEAD
  for (const { id } of closed) {
    const { root, leaves } = await treeOf(trx, id)
    head = nextHead(head, id, root)
    await trx
      .updateTable('epochs')
      .set({ root: hex(root), head: hex(head), leaves })
      .where('id', '=', id)
      .execute()
  }
}

export interface Committed {
  readonly id: number
  readonly root: string | null
  readonly head: string | null
  readonly leaves: number | null
}

/** What is wrong with the commitments of closed epochs, in order: each as the number and why. Reads every receipt. */
export async function commitmentFaults(db: Kysely<Database>, closed: readonly Committed[]): Promise<string[]> {
  const faults: string[] = []
  let head: Uint8Array = FIRST_HEAD
  for (const { id, root, head: stored, leaves } of closed) {
    // Closed before there were commitments: the next close commits to it.
    if (root === null) continue
    head = nextHead(head, id, Buffer.from(root, 'hex'))
    const now = leaves === null || leaves === 0 ? undefined : await treeOf(db, id).catch(none)
    if (hex(head) !== stored) faults.push(`${id}, whose head does not follow`)
    else if (now?.leaves !== leaves)
      faults.push(`${id}, which committed to ${leaves} receipts and has ${now?.leaves ?? 0}`)
    else if (hex(now.root) !== root) faults.push(`${id}, whose receipts are not those that it committed to`)
  }
  return faults
}

/** An epoch that has lost all its receipts has no tree. */
const none = (error: unknown): undefined => {
  if (error instanceof RangeError) return undefined
  throw error
}
