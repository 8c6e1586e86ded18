// `bramble-agent receipts`: what the console says this board has earned, and the proof of a receipt to keep.
import { z } from 'zod'
import type { StoredCredential } from './credential.ts'
import { EnrolError } from './enroll.ts'
import { askText, reasonOf } from './http.ts'

/** A proof carries its whole batch and a path; a list, 500 receipts. */
const ANSWER_BYTES = 4 * 1024 * 1024
const Refusal = z.object({ error: z.object({ message: z.string() }) })
const Receipts = z.array(
  z.object({ id: z.int(), at: z.string(), state: z.string(), amount: z.string(), epoch: z.int().optional() }),
)

async function ask({ console, credential }: StoredCredential, path: string): Promise<string> {
  const target = new URL(path, console)
  const headers = { authorization: `Bearer ${credential}` }
  const answer = await askText(target, { headers }, ANSWER_BYTES).catch((error: unknown) => {
    throw new EnrolError('unreachable', `the console at ${console} cannot be reached (${reasonOf(error)})`)
  })
  if (answer.status === 200) return answer.text
  const refusal = Refusal.safeParse(jsonOf(answer.text)).data?.error.message
  throw new EnrolError('refused', `the console at ${console} refused: ${refusal ?? `HTTP status ${answer.status}`}`)
}

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** One line each, newest first. Rejects with EnrolError. */
export async function receiptLines(credential: StoredCredential): Promise<string> {
  const receipts = Receipts.parse(jsonOf(await ask(credential, '/boards/receipts')))
  if (receipts.length === 0) return 'No receipt of this board has reached the console yet.'
  return receipts
    .map(
      ({ id, at, state, amount, epoch }) =>
        `${id}  ${at}  ${state}  ${amount} base units${epoch === undefined ? '' : `  epoch ${epoch}`}`,
    )
    .join('\n')
}

/** The proof file of one receipt, as `bramble rewards verify` reads it. Rejects with EnrolError. */
export const receiptProof = (credential: StoredCredential, receipt: string): Promise<string> =>
  ask(credential, `/boards/receipts/${encodeURIComponent(receipt)}/proof`)
