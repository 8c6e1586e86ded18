// The desk for what a restored database took in from the chain and cannot say for whom.
import { writtenOffPayee } from '../rewards/payees.ts'
import { isPayee } from '../rewards/statement.ts'
import type { Refused } from '../routes/answers.ts'
import type { LostDesk } from '../routes/lost.ts'
import { attribute } from '../settlement/lost.ts'
import type { Store } from '../store/open.ts'

export interface LostDeskOptions {
  readonly store: Pick<Store, 'db'>
  readonly now: () => number
  /** Money moved. */
  readonly moved: () => void
}

const refused = (status: 404 | 409, code: string, message: string): Refused => ({ refused: { status, code, message } })

export const createLostDesk = ({ store: { db }, now, moved }: LostDeskOptions): LostDesk => ({
  async attribute(address, wish) {
    const payee = 'payee' in wish ? wish.payee : writtenOffPayee(address)
    if ('payee' in wish && !(await isPayee(db, payee)))
      return refused(404, 'unknown-payee', `There is no payee ${payee}.`)
    const done = await db.transaction().execute((trx) => attribute(trx, { address, payee, now: now() }))
    if ('refused' in done)
      return done.refused === 'nothing-lost'
        ? refused(404, 'nothing-lost', `Nothing that was paid to ${address} waits to be attributed.`)
        : refused(409, 'under-way', `A payout to ${payee} is under way; try again when it has ended.`)
    moved()
    return { address, payee, owed: String(done.owed), beyond: String(done.beyond) }
  },
})
