// One random life of the money, through the modules that move it in the product: dispatcher, receipts, verdicts, epochs, and the
// planning and moves of payouts. Only the chain is absent: whether a batch landed is part of the history.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { FIRST_PREV, hashOfBatch, signBatch } from '../../broker/protocol/receipts.ts'
import { accounts } from '../../console/rewards/accounts.ts'
import { closeEpoch } from '../../console/rewards/epochs.ts'
import { balanceOf, post, type TransferKind } from '../../console/rewards/ledger.ts'
import { OPERATOR_FEES } from '../../console/rewards/payees.ts'
import { createReceipts } from '../../console/rewards/receipts.ts'
import { decideHeld } from '../../console/rewards/release.ts'
import { createPayoutBook } from '../../console/settlement/book.ts'
import { planPayouts } from '../../console/settlement/plan.ts'
import { planWithdrawal } from '../../console/settlement/plan-withdrawal.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'
import {
  addRequester,
  type Board,
  candidate,
  digestOf,
  enrol,
  failure,
  item,
  MODEL_DIGEST,
  type Pool,
  silent,
  startPool,
  success,
} from '../market/pool.ts'

const HOLD_MS = 60_000
const DAY_MS = 86_400_000
/** Addresses that a key can sign for. */
const WALLETS = ['9C6hybhQ6Aycep9jaUnP6uL9ZYvDjUp1aSkFWPUFJtpj', '4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM']
export const OWNERS = ['owner-a', 'owner-b'] as const
export const REQUESTERS = ['req-a', 'req-b'] as const

export type Step =
  | { readonly do: 'deposit' | 'grant'; readonly who: number; readonly units: bigint }
  | { readonly do: 'withdraw'; readonly who: number; readonly units: bigint }
  | { readonly do: 'ask'; readonly who: number; readonly times: number }
  | { readonly do: 'answer'; readonly board: number; readonly times: number; readonly isRefused: boolean }
  | { readonly do: 'claim'; readonly board: number; readonly lie: 'none' | 'digest' | 'twice' | 'again' }
  | { readonly do: 'decide'; readonly at: number; readonly to: 'credited' | 'forfeited' }
  | { readonly do: 'fees'; readonly feeBps: number; readonly royaltyBps: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'close' | 'pay' }
  | { readonly do: 'land'; readonly isGood: boolean; readonly at: number }

const who = fc.nat({ max: 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('deposit'), who, units: fc.bigInt({ min: 1n, max: 900n }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('grant'), who, units: fc.bigInt({ min: 1n, max: 300n }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('withdraw'), who, units: fc.bigInt({ min: 1n, max: 400n }) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ask'), who, times: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('answer'),
      board: who,
      times: fc.integer({ min: 1, max: 4 }),
      isRefused: fc.nat({ max: 4 }).map((n) => n === 0),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('claim'),
      board: who,
      lie: fc.constantFrom('none', 'none', 'digest', 'twice', 'again'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('decide'),
      at: fc.nat({ max: 9 }),
      to: fc.constantFrom('credited', 'forfeited'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('fees'),
      feeBps: fc.integer({ min: 0, max: 5_000 }),
      royaltyBps: fc.integer({ min: 0, max: 5_000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.constantFrom(1_000, 70_000, 8 * DAY_MS) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('close', 'pay') }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('land'), isGood: fc.boolean(), at: fc.nat({ max: 5 }) }),
  },
) as fc.Arbitrary<Step>

/** Begins so that there is something to go wrong with. */
export const history: fc.Arbitrary<readonly Step[]> = fc
  .array(step, { minLength: 30, maxLength: 60 })
  .map((steps) => [{ do: 'deposit', who: 0, units: 1_500n }, { do: 'ask', who: 0, times: 3 }, ...steps])

export interface Life {
  readonly store: Store
  readonly pool: Pool
  take(step: Step): Promise<void>
  end(): Promise<void>
}

export async function beginLife(): Promise<Life> {
  // In memory where the system offers it: a history is some hundred commits, each with a flush.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'bramble-life-'))
  const store = await openDatabase(join(folder, 'console.db'))
  const boards = await Promise.all(OWNERS.map((owner) => enrol(store, owner)))
  for (const id of REQUESTERS) await addRequester(store, id)
  for (const [index, payee] of [...OWNERS, OPERATOR_FEES].entries())
    await store.db
      .insertInto('wallets')
      .values({ payee, address: WALLETS[index % WALLETS.length] ?? '', since: 0, proof: 'operator' })
      .execute()
  const pool = await startPool(store)
  for (const { device } of boards) pool.boards.push(candidate(device))
  const steps = createSteps(store, pool, boards)
  return {
    store,
    pool,
    take: steps,
    async end() {
      await pool.settled()
      await store.close()
      rmSync(folder, { recursive: true })
    },
  }
}

interface Outbox {
  readonly board: Board
  seq: number
  prev: string
  last: string | undefined
  /** Answered and not claimed. */
  done: string[]
}

function createSteps(store: Store, pool: Pool, boards: readonly Board[]): (step: Step) => Promise<void> {
  const { db } = store
  const { clock, dispatcher } = pool
  const settings = { holdMs: HOLD_MS, feeBps: 1_000, royaltyBps: 500 }
  const outboxes = boards.map((board): Outbox => ({ board, seq: 1, prev: FIRST_PREV, last: undefined, done: [] }))
  const answered = new Set<string>()
  let refs = 0
  const keys = new Map(boards.map((board) => [board.device, board.publicKey]))
  const receipts = createReceipts({
    store,
    now: () => clock.now,
    devicePublicKey: (device) => keys.get(device),
    modelDigest: () => MODEL_DIGEST,
    settings,
    emit: () => undefined,
    log: silent,
  })
  const book = createPayoutBook({
    db,
    lease: { stillHeld: async () => true },
    now: () => clock.now,
    moved: () => undefined,
  })
  /** Two payouts to a transaction. */
  const chain = {
    markerOf: (batch: string) => `marker of ${batch}`,
    accountOf: (wallet: string) => `account of ${wallet}`,
    sizeOf: ({ lines }: { readonly lines: readonly unknown[] }) => lines.length * 600,
  }

  async function enter(kind: TransferKind, who: number, amount: bigint): Promise<void> {
    const to = accounts.budget(REQUESTERS[who] ?? '')
    const ref = `${kind}-${++refs}`
    await db.transaction().execute((trx) => post(trx, [{ kind, ref, from: 'outside', to, amount, at: clock.now }]))
  }

  async function withdraw(who: number, units: bigint): Promise<void> {
    const requester = REQUESTERS[who] ?? ''
    if ((await balanceOf(db, accounts.budget(requester))) < units) return
    const wanted = { requester, requestId: `w-${++refs}`, units, wallet: WALLETS[who] ?? '', hasAccount: false }
    const terms = { now: clock.now, chain, minimumUnits: 1n, accountFeeUnits: 7n }
    if (units > terms.accountFeeUnits) await db.transaction().execute((trx) => planWithdrawal(trx, wanted, terms))
  }

  async function answer(outbox: Outbox, times: number, isRefused: boolean): Promise<void> {
    const { device } = outbox.board
    const open = pool.leasedTo(device).filter((task) => !answered.has(task))
    for (const task of open.slice(0, times)) {
      answered.add(task)
      const result = isRefused ? failure(device, task, clock.now, 'bad-frame') : success(device, task, clock.now)
      await dispatcher.result(device, task, result)
      if (!isRefused) outbox.done.push(task)
    }
  }

  async function claim(outbox: Outbox, lie: Extract<Step, { do: 'claim' }>['lie']): Promise<void> {
    const { board, seq, prev, done } = outbox
    if (lie === 'again' && outbox.last !== undefined) await receipts.ingest(board.device, outbox.last)
    if (done.length === 0) return
    const wrong = lie === 'digest' ? { output: digestOf('a lie') } : {}
    const items = done.map((task, index) => item(task, clock.now, index === 0 ? wrong : {}))
    if (lie === 'twice') items.push(...items)
    const runtime = { ort: '1.30.0', provider: 'cpu', cpu: 'x64', decoder: 'd', flags: [] }
    const jws = signBatch({ device: board.device, boot: 'b', chain: 'chain-1', seq, prev, runtime, items }, board.key)
    const taken = await receipts.ingest(board.device, jws)
    if (!('ack' in taken) || taken.ack.upTo !== seq) return
    Object.assign(outbox, { seq: seq + 1, prev: hashOfBatch(jws), last: jws, done: [] })
  }

  async function decide(at: number, to: 'credited' | 'forfeited'): Promise<void> {
    const held = await db.selectFrom('receipts').select('id').where('state', '=', 'held').orderBy('id').execute()
    // Any other receipt now and then: a verdict on it must change nothing.
    const receipt = held[at % Math.max(1, held.length)]?.id ?? at
    const verdict = { receipt, to, reason: 'looked at', now: clock.now, shares: settings }
    await db.transaction().execute((trx) => decideHeld(trx, verdict))
  }

  const close = () => db.transaction().execute((trx) => closeEpoch(trx, clock.now))

  async function pay(): Promise<void> {
    await close()
    const { id: epoch } = await db
      .selectFrom('epochs')
      .select('id')
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirstOrThrow()
    const plan = {
      epoch,
      now: clock.now,
      chain,
      minimumUnits: 50n,
      accountFeeUnits: 7n,
      withAccount: new Set<string>(),
      treasuryUnits: 10n ** 12n,
      through: [],
    }
    await db.transaction().execute((trx) => planPayouts(trx, plan))
  }

  async function land(at: number, isGood: boolean): Promise<void> {
    const open = await book.open()
    const batch = open[at % Math.max(1, open.length)]
    if (batch === undefined) return
    if (batch.state !== 'planned') {
      await (isGood ? book.finalized(batch) : book.failed(batch, 'it failed on chain', true))
      return
    }
    const signature = `signature-${++refs}`
    const signed = { signature, wire: new Uint8Array(1), blockhash: 'b', lastValidBlockHeight: 1 }
    await book.signed(batch, signed, { marker: 890_880n, accounts: new Map() })
  }

  return async (step) => {
    switch (step.do) {
      case 'deposit':
      case 'grant':
        return enter(step.do, step.who, step.units)
      case 'withdraw':
        return withdraw(step.who, step.units)
      case 'ask':
        for (let i = 0; i < step.times; i++) await pool.offer(`t-${++refs}`, { requester: REQUESTERS[step.who] ?? '' })
        return
      case 'answer':
        return answer(outboxes[step.board] as Outbox, step.times, step.isRefused)
      case 'claim':
        return claim(outboxes[step.board] as Outbox, step.lie)
      case 'decide':
        return decide(step.at, step.to)
      case 'fees':
        Object.assign(settings, { feeBps: step.feeBps, royaltyBps: step.royaltyBps })
        return
      case 'wait':
        clock.now += step.ms
        return dispatcher.turn().then(() => undefined)
      case 'close':
        return close().then(() => undefined)
      case 'pay':
        return pay()
      case 'land':
        return land(step.at, step.isGood)
    }
  }
}
