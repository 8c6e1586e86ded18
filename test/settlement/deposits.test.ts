// Deposits on a real chain: ordinary transfers of somebody else's wallet, read at finalized, credited once, whatever happens
// to the reader.
import { Keypair } from '@solana/web3.js'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { accounts } from '../../console/rewards/accounts.ts'
import { balanceOf } from '../../console/rewards/ledger.ts'
import { requesterPayee } from '../../console/rewards/payees.ts'
import { ChainError } from '../../console/settlement/chain-error.ts'
import { createAllowances } from '../../console/settlement/deposits/allowances.ts'
import type { DepositChain } from '../../console/settlement/deposits/deposit-chain.ts'
import { readAccount } from '../../console/settlement/deposits/read.ts'
import { createDeposits } from '../../console/settlement/deposits.ts'
import type { ChainKey } from '../../console/settlement/keys.ts'
import type { Solana, Token } from '../../console/settlement/solana.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'
import { nameWallet } from '../../console/wallets/wallets.ts'
import { createLab, type Lab, silent } from './lab.ts'
import { createWallet, type Wallet } from './wallet.ts'

const FINAL_MS = 40 * 400
/** Confirmed by then, and not final. */
const CONFIRMED_MS = 10 * 400
const MINIMUM = 1_000n
/** Nothing that was sent before may still land. */
const QUIET_MS = 400 * 400

let lab: Lab
let token: Token
let console: ChainKey
let solana: Solana
let chain: DepositChain
let sender: Wallet
let store: Store
let count = 0

beforeAll(async () => {
  lab = await createLab()
  token = await lab.makeToken()
  console = await lab.makeTreasury(token)
  solana = lab.client(async (_method, _body, forward) => forward(), console)
  chain = solana.deposits(token)
  sender = await createWallet(lab, token, 1_000_000_000n)
})
afterAll(() => lab.close())

beforeEach(async () => {
  store = await openDatabase(':memory:')
})
afterEach(() => store.close())

/** A requester of its own for each test: the chain goes on from test to test. */
async function addRequester(): Promise<string> {
  const id = `r${++count}`
  await store.db
    .insertInto('requesters')
    .values({ id, name: id, key_hash: id, owner_id: null, created_at: 0 })
    .execute()
  return id
}
const budget = (requester: string): Promise<bigint> => balanceOf(store.db, accounts.budget(requester))
const final = (): void => lab.clock.advance(FINAL_MS)
const desk = (over: Partial<DepositChain> = {}) =>
  createDeposits({
    db: store.db,
    chain: { ...chain, ...over },
    mint: token.mint,
    minimumUnits: MINIMUM,
    now: lab.clock.now,
    everyMs: 1,
    credited: () => undefined,
    log: silent,
  })

describe('a deposit', () => {
  it('is credited when it is final, once, to whom the address belongs', async () => {
    const [ann, bob] = [await addRequester(), await addRequester()]
    const deposits = desk()
    const [toAnn, toBob] = [await deposits.addressOf(ann), await deposits.addressOf(bob)]
    expect(await deposits.addressOf(ann)).toEqual(toAnn)
    await sender.pay(toAnn.wallet, 5_000n)
    await sender.pay(toBob.wallet, 7_000n)
    lab.clock.advance(CONFIRMED_MS)
    expect(await deposits.turn()).toBe(true)
    expect(await budget(ann), 'not final yet').toBe(0n)
    final()
    await deposits.turn()
    await deposits.turn()
    expect([await budget(ann), await budget(bob)]).toEqual([5_000n, 7_000n])
    await sender.pay(toAnn.wallet, 2_000n)
    final()
    await deposits.turn()
    expect(await budget(ann)).toBe(7_000n)
    expect(await deposits.list(ann, 10)).toMatchObject([
      { state: 'credited', amount_units: 2_000n, mint: token.mint },
      { state: 'credited', amount_units: 5_000n },
    ])
  })

  it('is found again after any downtime, and by a database that knows nothing of it any more', async () => {
    const ann = await addRequester()
    const { wallet } = await desk().addressOf(ann)
    for (const units of [1_001n, 1_002n, 1_003n]) await sender.pay(wallet, units)
    lab.clock.advance(3_600_000)
    await desk().turn()
    expect(await budget(ann)).toBe(3_006n)
    // Read again from the beginning, as from a backup of before.
    await store.db.updateTable('deposit_addresses').set({ read_up_to: null }).execute()
    await desk().turn()
    expect(await budget(ann)).toBe(3_006n)
  })

  it('is neither lost nor doubled when the chain stops answering in the middle, or pages', async () => {
    const ann = await addRequester()
    const { wallet } = await desk().addressOf(ann)
    for (const units of [1_001n, 1_002n, 1_003n, 1_004n]) await sender.pay(wallet, units)
    final()
    let answers = 2
    const flaky = desk({ change: async (...of) => (answers-- > 0 ? chain.change(...of) : undefined) })
    await flaky.turn()
    expect(await budget(ann)).toBe(2_003n)
    answers = 100
    await flaky.turn()
    expect(await budget(ann)).toBe(4_010n)
  })

  it('is credited once by a console that dies between any two statements', async () => {
    const ann = await addRequester()
    const { wallet } = await desk().addressOf(ann)
    await sender.pay(wallet, 5_000n)
    final()
    const places = [
      'UPDATE ON deposit_addresses',
      'INSERT ON deposits',
      'UPDATE ON deposits',
      'INSERT ON transfers',
      'UPDATE ON accounts',
      'INSERT ON accounts',
    ]
    for (const when of ['BEFORE', 'AFTER'])
      for (const place of places) {
        await sql
          .raw(`CREATE TEMP TRIGGER dies ${when} ${place} BEGIN SELECT RAISE(ABORT, 'died'); END`)
          .execute(store.db)
        const died = await desk()
          .turn()
          .then(
            () => false,
            () => true,
          )
        await sql.raw('DROP TRIGGER dies').execute(store.db)
        expect(await budget(ann), `${when} ${place}`).toBe(died ? 0n : 5_000n)
        expect(died, `${when} ${place} is passed`).toBe(true)
      }
    await desk().turn()
    expect(await budget(ann)).toBe(5_000n)
  })

  it('that the chain lists but does not tell is not passed over, and is spoken of', async () => {
    const ann = await addRequester()
    const deposits = desk({ change: async () => undefined })
    const { wallet } = await deposits.addressOf(ann)
    await sender.pay(wallet, 5_000n)
    final()
    await deposits.turn()
    expect(deposits.trouble(), 'a node may lag').toBeUndefined()
    await deposits.turn()
    await deposits.turn()
    expect(deposits.trouble()).toMatch(new RegExp(`^deposits of ${ann} wait: the RPC lists transaction`))
    await desk().turn()
    expect(await budget(ann)).toBe(5_000n)
  })

  it('is listed page by page', async () => {
    const ann = await addRequester()
    const { account } = await desk().addressOf(ann)
    const all = Array.from({ length: 2_500 }, (_, index) => ({ signature: `s${2_500 - index}`, hasFailed: false }))
    const asked: (string | undefined)[] = []
    const seen: string[] = []
    await readAccount(
      {
        db: store.db,
        mint: token.mint,
        minimumUnits: MINIMUM,
        now: lab.clock.now,
        chain: {
          async arrivals(_account, { before }) {
            asked.push(before)
            const from = before === undefined ? 0 : all.findIndex(({ signature }) => signature === before) + 1
            return all.slice(from, from + 1_000)
          },
          async change(signature) {
            seen.push(signature)
            return { units: 1_000n, slot: 1, atMs: 1 }
          },
        },
      },
      { requester: ann, account, readUpTo: undefined },
    )
    expect(asked).toEqual([undefined, 's1501', 's501', 's1'])
    expect([seen[0], seen.at(-1), seen.length]).toEqual(['s1', 's2500', 2_500])
    expect(await budget(ann)).toBe(2_500_000n)
  })

  it('that is dust waits until there is enough of it', async () => {
    const ann = await addRequester()
    const { wallet } = await desk().addressOf(ann)
    await sender.pay(wallet, 600n)
    final()
    await desk().turn()
    expect(await budget(ann)).toBe(0n)
    expect(await desk().list(ann, 10)).toMatchObject([{ state: 'dust', amount_units: 600n }])
    await sender.pay(wallet, 500n)
    final()
    await desk().turn()
    expect(await budget(ann)).toBe(1_100n)
  })

  it('is swept into the treasury, and what is swept is not a deposit', async () => {
    const ann = await addRequester()
    const deposits = desk()
    const { wallet, account } = await deposits.addressOf(ann)
    const before = await solana.tokenBalance(token.mint, console.address)
    await sender.pay(wallet, 9_000n)
    final()
    await deposits.turn()
    final()
    await deposits.turn()
    expect(await chain.balances([account])).toEqual([0n])
    expect(await solana.tokenBalance(token.mint, console.address)).toBe(before + 9_000n)
    expect(await budget(ann)).toBe(9_000n)
  })

  it('of another token is noted and not credited', async () => {
    const ann = await addRequester()
    const deposits = desk()
    const { wallet } = await deposits.addressOf(ann)
    const other = await sender.makeOtherToken()
    await sender.pay(wallet, 5_000n, other)
    final()
    await deposits.turn()
    expect(await budget(ann)).toBe(0n)
    expect(await deposits.list(ann, 10)).toMatchObject([{ state: 'foreign', mint: other.mint, amount_units: 5_000n }])
    await sender.pay(wallet, 1_000n, other)
    final()
    await desk().turn()
    expect(await deposits.list(ann, 10), 'one line for all of it').toMatchObject([
      { state: 'foreign', mint: other.mint, amount_units: 6_000n },
    ])
  })

  it('of another token, more of it than the ledger can count, holds up nobody', async () => {
    const [ann, bob] = [await addRequester(), await addRequester()]
    const deposits = desk()
    const [toAnn, toBob] = [await deposits.addressOf(ann), await deposits.addressOf(bob)]
    const most = 2n ** 64n - 1n
    const other = await sender.makeOtherToken(most)
    await sender.pay(toAnn.wallet, most, other)
    await sender.pay(toBob.wallet, 5_000n)
    final()
    expect(await deposits.turn()).toBe(true)
    expect(await budget(bob)).toBe(5_000n)
    expect(await deposits.list(ann, 10)).toMatchObject([{ state: 'foreign', amount_units: 2n ** 63n - 1n }])
  })

  it('waits, with a sentence, while the chain does not answer', async () => {
    await desk().addressOf(await addRequester())
    const dead = lab.client(async () => {
      throw new TypeError('fetch failed')
    }, console)
    const deposits = desk(dead.deposits(token))
    expect(await deposits.turn()).toBe(false)
    expect(deposits.trouble()).toMatch(/^deposits wait: no answer from the RPC/)
  })
})

describe('an allowance', () => {
  const open = async () => {
    const requester = await addRequester()
    const deposits = desk()
    const allowances = createAllowances({
      db: store.db,
      chain,
      addressOf: deposits.addressOf,
      readDeposits: deposits.read,
      now: lab.clock.now,
      log: silent,
    })
    const wallet = await createWallet(lab, token, 100_000n)
    await nameWallet(store.db, requesterPayee(requester), wallet.address, 0)
    const turn = async (): Promise<void> => {
      await allowances.turn()
      lab.clock.advance(QUIET_MS)
      await deposits.turn()
    }
    return { requester, allowances, deposits, wallet, turn }
  }
  const terms = (account: string) => ({ account, belowUnits: 5_000n, drawUnits: 20_000n })

  it('fills the budget when it is low, no more than once for one need, and no further than allowed', async () => {
    const { requester, allowances, wallet, turn } = await open()
    await wallet.approve(console.address, 50_000n)
    final()
    expect(await allowances.set(requester, terms(wallet.account))).toMatchObject({ state: 'good', left_units: 50_000n })
    await turn()
    await allowances.turn()
    await allowances.turn()
    await turn()
    expect(await budget(requester)).toBe(20_000n)
    await turn()
    expect(await budget(requester), 'there is enough').toBe(20_000n)
  })

  it('is not drawn from again while nobody has read what it brought', async () => {
    const { requester, allowances, deposits, wallet } = await open()
    await wallet.approve(console.address, 50_000n)
    final()
    await allowances.set(requester, terms(wallet.account))
    for (const _ of [1, 2, 3, 4]) {
      await allowances.turn()
      lab.clock.advance(QUIET_MS)
    }
    await deposits.turn()
    expect(await budget(requester)).toBe(20_000n)
  })

  it('is drawn from again soon after the last draw is credited and spent, and to its last unit', async () => {
    const { requester, allowances, deposits, wallet, turn } = await open()
    await wallet.approve(console.address, 25_000n)
    final()
    await allowances.set(requester, { ...terms(wallet.account), belowUnits: 100_000n })
    await turn()
    await allowances.turn()
    final()
    await deposits.turn()
    expect(await budget(requester)).toBe(20_000n)
    await allowances.turn()
    final()
    await deposits.turn()
    expect(await budget(requester)).toBe(25_000n)
    await allowances.turn()
    expect(await allowances.get(requester)).toMatchObject({ state: 'spent', left_units: 0n })
  })

  it('whose draw gets no answer is not drawn from again until that draw can no longer land', async () => {
    const { requester, wallet, deposits } = await open()
    await wallet.approve(console.address, 50_000n)
    final()
    const mute = createAllowances({
      db: store.db,
      chain: {
        ...chain,
        async draw(...of) {
          await chain.draw(...of)
          throw new ChainError('unreachable', 'no answer')
        },
      },
      addressOf: deposits.addressOf,
      readDeposits: async () => undefined,
      now: lab.clock.now,
      log: silent,
    })
    await mute.set(requester, terms(wallet.account))
    await mute.turn()
    lab.clock.advance(QUIET_MS)
    await expect(mute.turn()).rejects.toThrow('no answer')
    lab.clock.advance(250 * 400)
    await mute.turn()
    await deposits.turn()
    expect(await budget(requester)).toBe(20_000n)
  })

  it('that is revoked in the middle leaves the budget as it is, and says so', async () => {
    const { requester, allowances, wallet, turn } = await open()
    await wallet.approve(console.address, 50_000n)
    final()
    await allowances.set(requester, terms(wallet.account))
    await wallet.revoke()
    final()
    await turn()
    await turn()
    expect(await budget(requester)).toBe(0n)
    expect(await allowances.get(requester)).toMatchObject({ state: 'revoked', left_units: 0n })
  })

  it("is refused on an account that is not the requester's own, or not of this token", async () => {
    const { requester, allowances } = await open()
    const stranger = await createWallet(lab, token, 100_000n)
    await stranger.approve(console.address, 50_000n)
    final()
    await expect(allowances.set(requester, terms(stranger.account))).rejects.toThrow(
      `belongs to ${stranger.address}: register that wallet`,
    )
    const nobody = Keypair.generate().publicKey.toBase58()
    await expect(allowances.set(requester, terms(nobody))).rejects.toThrow('is not an account of the token')
  })
})

describe('an address', () => {
  it('that is a mint, a token account, a program or the treasury is told from a wallet', async () => {
    expect(await chain.accountFault(sender.address)).toBeUndefined()
    expect(await chain.accountFault(Keypair.generate().publicKey.toBase58())).toBeUndefined()
    expect(await chain.accountFault(token.mint)).toBe('it is a mint')
    expect(await chain.accountFault(sender.account)).toMatch(/^it is a token account/)
    expect(await chain.accountFault('TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA')).toBe('it is a program')
    expect(await chain.accountFault(console.address)).toBe('it is the treasury itself')
  })
})
