// What a payout costs, from real transactions: built by the payout room, signed, and executed on the local chain.
import { Keypair } from '@solana/web3.js'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import { fill } from '../../console/settlement/fill.ts'
import { publicKeyOf } from '../../console/settlement/keys.ts'
import { memoOf } from '../../console/settlement/memo.ts'
import { MAX_TRANSACTION_BYTES, type Payment } from '../../console/settlement/payer.ts'
import type { Solana, Token } from '../../console/settlement/solana.ts'
import { type LookupTable, MAX_ADDRESSES, type TableOrder } from '../../console/settlement/tables/table-chain.ts'
import { ADDRESSES_PER_TRANSACTION } from '../../console/settlement/tables/worth.ts'
import { createLab, type Lab } from '../settlement/lab.ts'

/** As the payout room takes them back (reclaim.ts). */
const RECLAIMED_TOGETHER = 8
const HEAD = 'A'.repeat(43)

export interface Measured {
  readonly transfers: number
  readonly bytes: number
  readonly feeLamports: number
}
export interface Costs {
  readonly plain: Measured
  readonly withAccounts: Measured
  readonly separateFeePayer: Measured
  readonly table: Measured
  readonly tableRentLamports: number
  /** Of that, for each account in it. */
  readonly tableAddressRentLamports: number
  readonly tableFeesLamports: number
  readonly tableAddresses: number
  /** Of one transaction that takes back the rents of so many markers. */
  readonly reclaim: { readonly markers: number; readonly feeLamports: number }
  readonly accountRentLamports: number
  readonly markerRentLamports: number
}

const newAddress = (index: number): string => {
  const seed = Buffer.alloc(32)
  seed.writeUInt32LE(index + 1)
  return encodeBase58(publicKeyOf(seed))
}

const paymentOf = (solana: Solana, token: Token, id: string, wallets: readonly string[]): Payment => ({
  id,
  memo: memoOf(id, HEAD),
  marker: solana.payer(token).markerOf(id),
  lines: wallets.map((wallet, index) => ({ wallet, units: BigInt(index + 1) })),
})

const landed = (lab: Lab, signature: string, transfers: number): Measured => {
  const found = lab.chain.find(signature)
  if (!found || found.err !== null) throw new Error(`it did not go through: ${found?.err ?? 'not on the chain'}`)
  return { transfers, bytes: found.wire.length, feeLamports: JSON.parse(found.meta).fee }
}

/** The largest batch of the first of these wallets, paid. */
async function pay(
  lab: Lab,
  solana: Solana,
  token: Token,
  id: string,
  wallets: readonly string[],
  through: readonly LookupTable[] = [],
): Promise<Measured> {
  const payer = solana.payer(token)
  const { without } = await payer.funds(wallets)
  const fits = (lines: readonly string[]): boolean =>
    payer.sizeOf(paymentOf(solana, token, id, lines), without, through) <= MAX_TRANSACTION_BYTES
  const first = fill(wallets, fits)[0] ?? []
  const signed = payer.sign(paymentOf(solana, token, id, first), without, await payer.lifetime(), through)
  await payer.send(signed.wire)
  return landed(lab, signed.signature, first.length)
}

const feesOf = (lab: Lab, signatures: readonly string[]): number =>
  signatures.reduce((sum, signature) => sum + landed(lab, signature, 0).feeLamports, 0)

interface Table {
  readonly table: LookupTable
  readonly rentLamports: number
  /** From its making to its end. */
  readonly feesLamports: number
  give(): Promise<void>
}

/** A table as the payout room makes it, fills it, and gives it up in the end. */
async function makeTable(lab: Lab, token: Token, accounts: readonly string[]): Promise<Table> {
  const payer = lab.solana.payer(token)
  const signatures: string[] = []
  const order = async (what: TableOrder): Promise<void> => {
    // What was added can be used, or changed, from the next slot on.
    lab.clock.advance(1_000)
    const { signature, wire } = payer.signTable(what, await payer.lifetime())
    await payer.send(wire)
    signatures.push(signature)
  }
  lab.clock.advance(60_000)
  const { slot } = await payer.finalized()
  const address = payer.tableAt(slot)
  await order({ do: 'make', slot, address, accounts: accounts.slice(0, ADDRESSES_PER_TRANSACTION) })
  for (let at = ADDRESSES_PER_TRANSACTION; at < accounts.length; at += ADDRESSES_PER_TRANSACTION)
    await order({ do: 'extend', address, accounts: accounts.slice(at, at + ADDRESSES_PER_TRANSACTION) })
  const rentLamports = Number(lab.chain.account(address)?.lamports ?? 0n)
  lab.clock.advance(60_000)
  const sight = (await payer.tables([address])).found.get(address)
  return {
    table: { address, addresses: sight?.addresses ?? [] },
    rentLamports,
    get feesLamports() {
      return feesOf(lab, signatures)
    },
    async give() {
      await order({ do: 'deactivate', address })
      lab.clock.advance(300_000)
      await order({ do: 'close', address })
      if (lab.chain.account(address)) throw new Error('the table is still there')
    },
  }
}

async function reclaim(lab: Lab, token: Token, batches: readonly string[]): Promise<Costs['reclaim']> {
  const payer = lab.solana.payer(token)
  await payer.reclaim(batches)
  const accounts = batches.map(payer.markerOf)
  if (accounts.some((marker) => lab.chain.account(marker))) throw new Error('the markers are still there')
  const of = { address: accounts[0] ?? '', newestSlot: lab.chain.clock.slot(), beforeSeq: Number.MAX_SAFE_INTEGER }
  const [newest] = lab.chain.history({ ...of, afterSeq: 0, limit: 1 })
  return { markers: batches.length, feeLamports: landed(lab, newest?.signature ?? '', 0).feeLamports }
}

/** The same figures on every machine: sizes, fees and rents are the chain's, not the clock's. */
export async function measureCosts(): Promise<Costs> {
  const lab = await createLab()
  try {
    const token = await lab.makeToken()
    const wallets = Array.from({ length: MAX_ADDRESSES }, (_, index) => newAddress(index))
    const funds = await lab.solana.payer(token).funds([])
    const withAccounts = await pay(lab, lab.solana, token, 'e1000-10', wallets)
    // Until the first 80 wallets have their accounts.
    const batches = ['e1000-10']
    for (let at = withAccounts.transfers; at < 80; at += withAccounts.transfers) {
      batches.push(`e1000-${10 + batches.length}`)
      await pay(lab, lab.solana, token, batches.at(-1) ?? '', wallets.slice(at, at + withAccounts.transfers))
    }
    const ready = wallets.slice(0, 80)
    const feePayer = Keypair.generate()
    const feeKey = { address: feePayer.publicKey.toBase58(), secretKey: feePayer.secretKey }
    await lab.solana.airdrop(feeKey.address, 10_000_000_000)
    const apart = lab.client(async (_method, _body, forward) => forward(), lab.treasury, feeKey)
    const payer = lab.solana.payer(token)
    const table = await makeTable(lab, token, wallets.map(payer.accountOf))
    const throughTable = await pay(lab, lab.solana, token, 'e1000-90', ready, [table.table])
    await table.give()
    return {
      withAccounts,
      plain: await pay(lab, lab.solana, token, 'e1000-50', ready),
      separateFeePayer: await pay(lab, apart, token, 'e1000-60', ready),
      table: throughTable,
      tableRentLamports: table.rentLamports,
      tableAddressRentLamports: Number((await payer.tableRents()).address),
      tableFeesLamports: table.feesLamports,
      tableAddresses: MAX_ADDRESSES,
      reclaim: await reclaim(lab, token, batches.slice(0, RECLAIMED_TOGETHER)),
      accountRentLamports: Number(funds.accountRent),
      markerRentLamports: Number(funds.markerRent),
    }
  } finally {
    lab.close()
  }
}
