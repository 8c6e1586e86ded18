// `bramble rewards verify`: a proof of a receipt, checked from its file alone, and on request against a Solana RPC of the
// reader's choice. No console and no database are needed.
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { Proof } from '../rewards/proof.ts'
import { type ProofCheck, verifyProof } from '../settlement/verify.ts'

export class ProofError extends Error {
  override readonly name = 'ProofError'
  readonly code: 'unreadable' | 'unreachable'

  constructor(code: ProofError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** Rejects with ProofError `unreadable`. */
async function readProof(file: string): Promise<Proof> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ProofError('unreadable', `${file} cannot be read; name a file written by: bramble rewards proof`, cause)
  })
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new ProofError('unreadable', `${file} is not JSON; fetch the proof again`, cause)
  }
  const proof = Proof.safeParse(json)
  if (proof.success) return proof.data
  const [issue] = proof.error.issues
  throw new ProofError('unreadable', `${file} is not a proof: ${issue?.path.join('.')} ${issue?.message}`)
}

const RPC_TIMEOUT_MS = 10_000

const Statuses = z.object({
  result: z.object({
    value: z.tuple([
      z.object({ err: z.unknown(), confirmationStatus: z.string().nullish(), slot: z.number() }).nullable(),
    ]),
  }),
})

/** getSignatureStatuses for one signature. Rejects with ProofError `unreachable`. */
async function statusOf(rpcUrl: string, signature: string, ask: typeof fetch) {
  const params = [[signature], { searchTransactionHistory: true }]
  const call = { jsonrpc: '2.0', id: 1, method: 'getSignatureStatuses', params }
  try {
    const answer = await ask(rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(call),
      signal: AbortSignal.timeout(RPC_TIMEOUT_MS),
    })
    return Statuses.parse(await answer.json()).result.value[0]
  } catch (cause) {
    throw new ProofError('unreachable', `the RPC at ${rpcUrl} did not answer; check the address or leave it out`, cause)
  }
}

async function onChain(proof: Proof, rpcUrl: string, ask: typeof fetch): Promise<ProofCheck> {
  const name = 'the chain has the transaction finalized'
  const status = await statusOf(rpcUrl, proof.anchor.signature, ask)
  if (status === null) return { name, ok: false, detail: `${rpcUrl} does not know it` }
  if (status.err != null) return { name, ok: false, detail: `it failed: ${JSON.stringify(status.err)}` }
  const isFinal = status.confirmationStatus === 'finalized'
  return { name, ok: isFinal, detail: isFinal ? `slot ${status.slot}` : `it is only ${status.confirmationStatus}` }
}

export interface VerifyOptions {
  readonly treasury?: string | undefined
  readonly rpcUrl?: string | undefined
  /** For tests. */
  readonly fetch?: typeof fetch
}

/** What each check says, and whether all are good. Rejects with ProofError. */
export async function verifyFile(file: string, options: VerifyOptions): Promise<{ ok: boolean; text: string }> {
  const proof = await readProof(file)
  const checks = verifyProof(proof, options)
  if (options.rpcUrl !== undefined) checks.push(await onChain(proof, options.rpcUrl, options.fetch ?? fetch))
  const ok = checks.every((check) => check.ok)
  const lines = checks.map((check) => `${check.ok ? 'ok    ' : 'FAULT '} ${check.name}: ${check.detail}`)
  const verdict = ok ? `The proof of receipt ${proof.receipt.id} holds.` : 'The proof does NOT hold.'
  return { ok, text: [...lines, verdict].join('\n') }
}
