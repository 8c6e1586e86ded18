// The order of one round: what frees boards, then what needs them, then the leases, then the money; all one transaction.
import type { Transaction } from 'kysely'
import type { Work } from '../store/group-commit.ts'
import type { Database } from '../store/schema.ts'
import type { Verdict } from './counters.ts'
import { passTime, shortenLeases } from './expiry.ts'
import type { HandOver } from './hand-over.ts'
import { type Offer, type Offered, takeStreamFrame, takeTask } from './intake.ts'
import { leaseAll } from './leasing.ts'
import { type BoardResult, takeResult } from './results.ts'
import { answerAgain, markAnswered, prune, releaseUnclaimed } from './retention.ts'
import { createRound, type Market, type Round } from './round.ts'

export type Arrival =
  | { readonly kind: 'task'; readonly offer: Offer; readonly requestId: string }
  | { readonly kind: 'frame'; readonly offer: Offer }
  | ({ readonly kind: 'result' } & BoardResult)
  | { readonly kind: 'gone'; readonly device: string }
  | { readonly kind: 'turn' }

export type Outcome = Offered | Verdict | undefined

const HOUSEKEEPING_MS = 60_000

/** Results come first: they free the boards that the tasks of the same round may take. */
const ORDER: Readonly<Record<Arrival['kind'], number>> = { result: 0, gone: 1, turn: 2, task: 3, frame: 4 }

export function createWork(options: {
  readonly market: Market
  readonly now: () => number
  readonly handOver: HandOver
}): (trx: Transaction<Database>, arrivals: readonly Arrival[]) => Promise<Work<Outcome>> {
  const { market, now, handOver } = options
  let isFirstTurn = true
  let keptHouseAt = 0

  async function takeTurn(round: Round): Promise<void> {
    await passTime(market, round)
    // Answers that the process before did not hand over are nobody's now, however young.
    const before = isFirstTurn ? round.now : round.now - market.limits.answerAgainMs
    await answerAgain(round, before, handOver.underWay)
    const isTime = round.now - keptHouseAt >= HOUSEKEEPING_MS
    if (isTime) {
      await releaseUnclaimed(market, round)
      await prune(market, round)
    }
    round.later(() => {
      isFirstTurn = false
      if (isTime) keptHouseAt = round.now
    })
  }

  async function take(round: Round, arrival: Arrival): Promise<Outcome> {
    switch (arrival.kind) {
      case 'result': {
        const verdict = await takeResult(market, round, arrival)
        round.later(() => market.counters.result(verdict))
        return verdict
      }
      case 'gone':
        await shortenLeases(market, round, arrival.device)
        return undefined
      case 'turn':
        await takeTurn(round)
        return undefined
      case 'task':
        return takeTask(market, round, arrival.offer, arrival.requestId)
      case 'frame':
        return takeStreamFrame(market, round, arrival.offer)
    }
  }

  return async (trx, arrivals) => {
    const round = createRound(trx, now())
    const outs: Outcome[] = new Array(arrivals.length).fill(undefined)
    const told = [...handOver.told]
    await markAnswered(round, told)
    const inOrder = [...arrivals.entries()].sort(([, a], [, b]) => ORDER[a.kind] - ORDER[b.kind])
    for (const [index, arrival] of inOrder) outs[index] = await take(round, arrival)
    await leaseAll(market, round)
    await round.settleMoney()
    await market.counters.save(trx)
    const after = (): void => {
      for (const forget of round.forgets) forget()
      handOver.marked(told)
      handOver.deliver(round)
    }
    return { outs, after }
  }
}
