// The network between a console and its chain: seeded faults, each with its own probability.
import { encodeBase58 } from '../../console/settlement/base58.ts'
import type { Lab, Wire } from './lab.ts'

/** Probabilities per RPC call. */
export interface Faults {
  /** The request never arrives. */
  readonly drop: number
  /** The request arrives and works, the answer does not come back. */
  readonly mute: number
  /** Per transaction: whatever is sent of it lands only at one moment of the next 80 s, before or after it has expired. */
  readonly late: number
  /** sendTransaction: answered, then thrown away. */
  readonly lost: number
  /** The node falls minutes behind, for up to three minutes: it says so, and knows neither signatures nor markers. */
  readonly lagging: number
  /** getSignatureStatuses: what is not final yet is unknown, or only processed; what has not landed was seen on a fork. */
  readonly forked: number
  /** The node claims to be up to date and answers null for every signature, for up to ten minutes; often also for accounts. */
  readonly blind: number
  /** The node shows only the newest few transactions of any address, or none, for up to five minutes. */
  readonly forgets: number
  /** The call takes up to a minute, in which the world goes on. */
  readonly slow: number
}
export const NO_FAULTS: Faults = {
  drop: 0,
  mute: 0,
  late: 0,
  lost: 0,
  lagging: 0,
  forked: 0,
  blind: 0,
  forgets: 0,
  slow: 0,
}

export interface Network {
  readonly wire: Wire
  /** Delivers what was held back and is due. */
  deliver(): void
  /** Without faults until told otherwise. */
  calm(isCalm: boolean): void
}

type Status = { confirmationStatus: string } | null
interface ContextAnswer {
  result?: { context: { slot: number }; value: unknown[] }
}
interface Call {
  readonly id: unknown
  readonly method: string
  readonly params: readonly [
    unknown,
    { readonly commitment?: string; readonly minContextSlot?: number; readonly before?: string }?,
  ]
}

const SLOTS_BEHIND = 300
const NOTHING: Readonly<Record<string, unknown>> = { getSignaturesForAddress: [], getTransaction: null }
const signatureOf = (wire: string): string => encodeBase58(Buffer.from(wire, 'base64').subarray(1, 65))
const answerOf = (id: unknown, body: object): string => JSON.stringify({ jsonrpc: '2.0', id, ...body })

const PAUSE_MS = 120_000

/** Something that holds for a while, and then does not for at least as long as a batch takes. */
function createSpell(longestMs: number) {
  let until = 0
  return {
    holds: (now: number): boolean => now < until,
    begin(now: number, share: number): boolean {
      if (now < until + PAUSE_MS) return false
      until = now + share * longestMs
      return true
    },
  }
}

export function createNetwork(lab: Lab, faults: Faults, random: () => number): Network {
  const held: { at: number; signature: string; run: () => void }[] = []
  let isCalm = false
  const strikes = (probability: number): boolean => !isCalm && probability > 0 && random() < probability
  const unanswered = (): never => {
    throw new TypeError('fetch failed')
  }

  const dues = new Map<string, number>()
  const dueOf = (wire: string): number => {
    const due = dues.get(wire) ?? (strikes(faults.late) ? lab.clock.now() + random() * 80_000 : 0)
    dues.set(wire, due)
    return due
  }

  let hidesAccounts = false
  const behind = createSpell(180_000)
  const blind = createSpell(600_000)
  const forgetful = createSpell(300_000)
  let shown = 0
  const isBehind = (): boolean => behind.holds(lab.clock.now())
  const isBlind = (): boolean => blind.holds(lab.clock.now())

  /** A block on another branch: what has not landed here may have been seen there. */
  const forkedStatus = (status: Status, signature: string): Status => {
    if (status?.confirmationStatus === 'finalized') return status
    if (status === null && !held.some((one) => one.signature === signature)) return null
    if (random() < 0.5) return null
    const seen = { slot: lab.chain.clock.slot(), confirmations: 0, err: null, status: { Ok: null } }
    return { ...(status ?? seen), confirmationStatus: status === null && random() < 0.3 ? 'confirmed' : 'processed' }
  }

  const statuses = (answer: ContextAnswer, signatures: readonly string[]): void => {
    if (!answer.result) return
    if (isBehind()) answer.result.context.slot -= SLOTS_BEHIND
    if (isBehind() || isBlind()) answer.result.value = signatures.map(() => null)
    else if (strikes(faults.forked))
      answer.result.value = signatures.map((signature, i) => forkedStatus(answer.result?.value[i] as Status, signature))
  }

  const shortened = (text: string, before: string | undefined): string => {
    const answer = JSON.parse(text) as { result?: unknown[] }
    if (answer.result) answer.result = before === undefined ? answer.result.slice(0, shown) : []
    return JSON.stringify(answer)
  }

  /** Markers are asked for at finalized; what pays is asked for at confirmed, and of a node that must know it. */
  const accounts = (answer: ContextAnswer, commitment: string | undefined): void => {
    if (!answer.result || commitment !== 'finalized') return
    if (isBehind()) answer.result.context.slot -= SLOTS_BEHIND
    if (isBehind() || (isBlind() && hidesAccounts)) answer.result.value = answer.result.value.map(() => null)
  }

  const blurred = ({ id, method, params }: Call, text: string): string => {
    if (strikes(faults.lagging)) behind.begin(lab.clock.now(), random())
    if (strikes(faults.blind) && blind.begin(lab.clock.now(), random())) hidesAccounts = random() < 0.5
    if (isBehind() && params[1]?.minContextSlot !== undefined)
      return answerOf(id, { error: { code: -32016, message: 'Minimum context slot has not been reached' } })
    const knowsNothing = isBehind() || (isBlind() && hidesAccounts)
    if (knowsNothing && method in NOTHING) return answerOf(id, { result: NOTHING[method] })
    if (method === 'getSignaturesForAddress') {
      if (strikes(faults.forgets) && forgetful.begin(lab.clock.now(), random())) shown = Math.floor(random() * 4)
      return forgetful.holds(lab.clock.now()) ? shortened(text, params[1]?.before) : text
    }
    if (method !== 'getSignatureStatuses' && method !== 'getMultipleAccounts') return text
    const answer = JSON.parse(text) as ContextAnswer
    if (method === 'getMultipleAccounts') accounts(answer, params[1]?.commitment)
    else statuses(answer, params[0] as string[])
    return JSON.stringify(answer)
  }

  const deliver = (): void => {
    for (const one of [...held]) {
      if (one.at > lab.clock.now()) continue
      held.splice(held.indexOf(one), 1)
      one.run()
    }
  }

  /** Undefined when it goes straight through. */
  const sent = ({ id, params }: Call, forward: () => string): string | undefined => {
    const wire = String(params[0])
    const accepted = answerOf(id, { result: '1'.repeat(64) })
    if (strikes(faults.lost)) return strikes(0.5) ? unanswered() : accepted
    const due = dueOf(wire)
    if (due <= lab.clock.now()) return undefined
    held.push({ at: due, signature: signatureOf(wire), run: forward })
    return strikes(0.5) ? unanswered() : accepted
  }

  return {
    async wire(_method, body, forward) {
      const call = JSON.parse(body) as Call
      if (strikes(faults.slow)) {
        lab.clock.advance(random() * 60_000)
        deliver()
      }
      if (strikes(faults.drop)) return unanswered()
      const early = call.method === 'sendTransaction' ? sent(call, forward) : undefined
      if (early !== undefined) return early
      const text = forward()
      if (strikes(faults.mute)) return unanswered()
      return blurred(call, text)
    },
    deliver,
    calm(isNow) {
      isCalm = isNow
    },
  }
}
