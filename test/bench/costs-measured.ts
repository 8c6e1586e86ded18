// What a payout costs, from real transactions: built by the payout room, signed, and executed on the local chain.
import {
  AddressLookupTableAccount,
  AddressLookupTableProgram,
  Keypair,
  PublicKey,
  SystemProgram,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import { fill } from '../../console/settlement/fill.ts'
import { publicKeyOf } from '../../console/settlement/keys.ts'
import { markerSeed } from '../../console/settlement/marker.ts'
import { memoOf } from '../../console/settlement/memo.ts'
import { MAX_TRANSACTION_BYTES, type Payment } from '../../console/settlement/payer.ts'
import type { Solana, Token } from '../../console/settlement/solana.ts'
import { associatedAddress, instructionOf } from '../../console/settlement/solana-connection.ts'
import * as spl from '../../console/settlement/spl.ts'
import { createLab, type Lab } from '../settlement/lab.ts'

/** As many addresses as one lookup table holds. */
const TABLE_ADDRESSES = 256
/** By these many the table is filled: an address takes 32 bytes. */
const ADDRESSES_PER_EXTENSION = 20
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
async function pay(lab: Lab, solana: Solana, token: Token, id: string, wallets: readonly string[]): Promise<Measured> {
  const payer = solana.payer(token)
  const { without } = await payer.funds(wallets)
  const fits = (lines: readonly string[]): boolean =>
    payer.sizeOf(paymentOf(solana, token, id, lines), without) <= MAX_TRANSACTION_BYTES
  const first = fill(wallets, fits)[0] ?? []
  const signed = payer.sign(paymentOf(solana, token, id, first), without, await payer.lifetime())
  await payer.send(signed.wire)
  return landed(lab, signed.signature, first.length)
}

const feesOf = (lab: Lab, signatures: readonly string[]): number =>
  signatures.reduce((sum, signature) => sum + landed(lab, signature, 0).feeLamports, 0)

interface Table {
  readonly address: PublicKey
  readonly rentLamports: number
  readonly feesLamports: number
}

function makeTable(lab: Lab, authority: Keypair, addresses: readonly PublicKey[]): Table {
  const by = { authority: authority.publicKey, payer: authority.publicKey }
  lab.clock.advance(1_000)
  const recentSlot = lab.chain.clock.slot('confirmed')
  const [create, address] = AddressLookupTableProgram.createLookupTable({ ...by, recentSlot })
  const signatures = [lab.submit([create], [authority])]
  for (let at = 0; at < addresses.length; at += ADDRESSES_PER_EXTENSION) {
    const more = addresses.slice(at, at + ADDRESSES_PER_EXTENSION)
    const extend = AddressLookupTableProgram.extendLookupTable({ ...by, lookupTable: address, addresses: more })
    signatures.push(lab.submit([extend], [authority]))
  }
  // What was added can be used from the next slot on.
  lab.clock.advance(1_000)
  const rentLamports = Number(lab.chain.account(address.toBase58())?.lamports ?? 0n)
  return { address, rentLamports, feesLamports: feesOf(lab, signatures) }
}

/** A batch with everything the payout room puts into it, its token accounts taken from a table. */
async function payThroughTable(
  lab: Lab,
  token: Token,
  authority: Keypair,
  table: PublicKey,
  wallets: readonly string[],
): Promise<Measured> {
  const data = lab.chain.account(table.toBase58())?.data ?? new Uint8Array()
  const found = new AddressLookupTableAccount({ key: table, state: AddressLookupTableAccount.deserialize(data) })
  const id = 'e1000-90'
  const [from, mint] = [associatedAddress(token.mint, authority.publicKey.toBase58()), token.mint]
  const payer = lab.solana.payer(token)
  const marker = SystemProgram.createAccountWithSeed({
    fromPubkey: authority.publicKey,
    basePubkey: authority.publicKey,
    newAccountPubkey: new PublicKey(payer.markerOf(id)),
    seed: markerSeed(authority.secretKey.subarray(0, 32), id),
    lamports: Number(lab.chain.rentExempt(0)),
    space: 0,
    programId: SystemProgram.programId,
  })
  const transferTo = (wallet: string) => {
    const to = associatedAddress(mint, wallet)
    const units = { units: 1n, decimals: token.decimals }
    return instructionOf(spl.transferChecked({ from, mint, to, authority: payer.treasury, ...units }))
  }
  const transactionOf = (lines: readonly string[]): VersionedTransaction =>
    new VersionedTransaction(
      new TransactionMessage({
        payerKey: authority.publicKey,
        recentBlockhash: lab.chain.clock.blockhash(lab.chain.clock.slot()),
        instructions: [marker, ...lines.map(transferTo), instructionOf(spl.memo(memoOf(id, HEAD)))],
      }).compileToV0Message([found]),
    )
  const fits = (lines: readonly string[]): boolean => {
    try {
      return transactionOf(lines).serialize().length <= MAX_TRANSACTION_BYTES
    } catch (error) {
      // The library's buffer ends where a transaction does.
      if (error instanceof RangeError) return false
      throw error
    }
  }
  const first = fill(wallets, fits)[0] ?? []
  const transaction = transactionOf(first)
  transaction.sign([authority])
  return landed(lab, lab.chain.submit(transaction.serialize()), first.length)
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
    const authority = Keypair.fromSecretKey(lab.treasury.secretKey)
    const wallets = Array.from({ length: TABLE_ADDRESSES }, (_, index) => newAddress(index))
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
    const table = makeTable(
      lab,
      authority,
      wallets.map((wallet) => new PublicKey(associatedAddress(token.mint, wallet))),
    )
    return {
      withAccounts,
      plain: await pay(lab, lab.solana, token, 'e1000-50', ready),
      separateFeePayer: await pay(lab, apart, token, 'e1000-60', ready),
      table: await payThroughTable(lab, token, authority, table.address, ready),
      tableRentLamports: table.rentLamports,
      tableFeesLamports: table.feesLamports,
      tableAddresses: TABLE_ADDRESSES,
      reclaim: await reclaim(lab, token, batches.slice(0, RECLAIMED_TOGETHER)),
      accountRentLamports: Number(funds.accountRent),
      markerRentLamports: Number(funds.markerRent),
    }
  } finally {
    lab.close()
  }
}
