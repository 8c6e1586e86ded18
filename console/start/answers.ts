// Small answers of the API that need two trades at once.

import type { createEnrolment } from '../fleet/enrolment.ts'
import type { Dispatcher } from '../market/dispatcher.ts'
import type { EnrollmentDesk } from '../routes/enrollments.ts'
import type { EpochDetail } from '../routes/rewards.ts'
import type { Asked, Asking } from '../routes/tasks.ts'
import type { Store } from '../store/open.ts'
import type { Views } from './views.ts'

export async function answerFor(dispatcher: Pick<Dispatcher, 'offer'>, asking: Asking): Promise<Asked> {
  const offered = await dispatcher.offer(asking)
  switch (offered.state) {
    case 'accepted':
      return { task: offered.task }
    case 'refused':
    case 'answered':
      return { answer: offered.answer }
    case 'frame':
      throw new TypeError('a task was taken for a stream frame')
  }
}

/** An epoch that is open still shows the receipts that no close has taken. */
export async function epochDetail(views: Views, id: number, limit: number): Promise<EpochDetail | undefined> {
  const epoch = await views.payouts.epoch(id)
  if (epoch === undefined) return undefined
  const receipts = await views.receipts.ofEpoch(epoch.closedAt === undefined ? undefined : id, limit)
  return { epoch, receipts }
}

export interface TokenOptions {
  readonly store: Store
  readonly enrolment: Pick<ReturnType<typeof createEnrolment>, 'mint'>
  readonly publicUrl: () => string
}

export function enrollmentDesk(
  { store: { db }, enrolment, publicUrl }: TokenOptions,
  now: () => number,
): EnrollmentDesk {
  const ownerOf = async (asked: string | undefined): Promise<string | undefined> => {
    const owners = db.selectFrom('owners').select('id').orderBy('created_at').limit(1)
    return (await (asked === undefined ? owners : owners.where('id', '=', asked)).executeTakeFirst())?.id
  }
  return {
    async enrollments() {
      const rows = await db
        .selectFrom('enrollment_tokens')
        .select(['id', 'label', 'owner_id', 'uses_left', 'expires_at', 'created_at'])
        .where('uses_left', '>', 0)
        .where('expires_at', '>', now())
        .orderBy('created_at', 'desc')
        .execute()
      return rows.map((row) => ({
        id: row.id,
        label: row.label,
        owner: row.owner_id,
        usesLeft: row.uses_left,
        expiresAt: new Date(row.expires_at).toISOString(),
        createdAt: new Date(row.created_at).toISOString(),
      }))
    },

    async makeEnrollment({ owner, label, uses, expiresInS }) {
      const id = await ownerOf(owner)
      if (id === undefined) return undefined
      const { token, expiresAt } = await enrolment.mint({ owner: id, label, uses, expiresInS })
      // The package's service starts by itself once the board is enrolled.
      const command = `sudo bramble-agent enroll --console ${publicUrl()} --token ${token}`
      return { token, expiresAt, console: publicUrl(), command }
    },
  }
}
