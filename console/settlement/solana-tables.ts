// Address lookup tables on a Solana chain: read, made, filled, given up; and transactions of version 0 that name accounts
// through them.
import {
  type AccountInfo,
  AddressLookupTableAccount,
  AddressLookupTableProgram,
  type Connection,
  type Keypair,
  PublicKey,
  type TransactionInstruction,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js'
import { encodeBase58 } from './base58.ts'
import { ChainError } from './chain-error.ts'
import { tableMemo } from './memo.ts'
import type { Lifetime, SignedPayout } from './payer.ts'
import { asked, chunked, instructionOf, sign } from './solana-connection.ts'
import * as spl from './spl.ts'
import type { LookupTable, TableChain, TableOrder, TableSight } from './tables/table-chain.ts'
import { differenceOf } from './tables/told.ts'

const PROGRAM = AddressLookupTableProgram.programId
/** As many accounts as getMultipleAccounts takes. */
const TABLES_PER_CALL = 100
/** A table's head: kind u32, deactivation slot u64, last extended slot u64, where that extension began u8, Option<authority>. */
const HEAD = 56
const ADDRESS = 32
const IS_TABLE = 1
const NEVER = 2n ** 64n - 1n

const NOT_OURS: TableSight = { isOurs: false, deactivatedAt: undefined, addresses: [], usable: 0 }

/** `slot`: of the answer. What a table got in that slot or later cannot be named yet. */
function sightOf({ data, owner }: AccountInfo<Buffer>, authority: string, slot: number): TableSight {
  const isTable = data.length >= HEAD && data.readUInt32LE(0) === IS_TABLE && (data.length - HEAD) % ADDRESS === 0
  if (!owner.equals(PROGRAM) || !isTable || data[21] !== 1) return NOT_OURS
  const deactivatedAt = data.readBigUInt64LE(4)
  const addresses = Array.from({ length: (data.length - HEAD) / ADDRESS }, (_, index) =>
    encodeBase58(data.subarray(HEAD + index * ADDRESS, HEAD + (index + 1) * ADDRESS)),
  )
  return {
    isOurs: encodeBase58(data.subarray(22, 22 + ADDRESS)) === authority,
    deactivatedAt: deactivatedAt === NEVER ? undefined : Number(deactivatedAt),
    addresses,
    usable: data.readBigUInt64LE(12) < BigInt(slot) ? addresses.length : Math.min(data[20] ?? 0, addresses.length),
  }
}

async function readTables(connection: Connection, authority: string, addresses: readonly string[]) {
  const found = new Map<string, TableSight>()
  let slot = Number.POSITIVE_INFINITY
  for (const part of chunked(addresses, TABLES_PER_CALL)) {
    const keys = part.map((address) => new PublicKey(address))
    // Finalized: what is listed then stands at its index for good, whatever is forked away.
    const call = connection.getMultipleAccountsInfoAndContext(keys, 'finalized')
    const { context, value } = await asked('getMultipleAccounts', call)
    slot = Math.min(slot, context.slot)
    for (const [index, account] of value.entries())
      if (account) found.set(part[index] ?? '', sightOf(account, authority, context.slot))
  }
  return { slot, found }
}

/** The instructions of an order; the memo lets a table be found again whose row is lost. */
function instructionsOf(order: TableOrder, authority: PublicKey, payer: PublicKey): TransactionInstruction[] {
  const lookupTable = new PublicKey(order.address)
  if (order.do === 'deactivate') return [AddressLookupTableProgram.deactivateLookupTable({ lookupTable, authority })]
  if (order.do === 'close')
    return [AddressLookupTableProgram.closeLookupTable({ lookupTable, authority, recipient: payer })]
  const addresses = order.accounts.map((account) => new PublicKey(account))
  const extend = AddressLookupTableProgram.extendLookupTable({ lookupTable, authority, payer, addresses })
  if (order.do === 'extend') return [extend]
  const [create] = AddressLookupTableProgram.createLookupTable({ authority, payer, recentSlot: order.slot })
  return [create, extend, instructionOf(spl.memo(tableMemo(order.address)))]
}

/** `signers`: who pays first, the treasury last. */
export function createTables(
  connection: Connection,
  signers: readonly Keypair[],
  treasury: Keypair,
): Omit<TableChain, 'accountOf'> {
  const authority = treasury.publicKey
  const payer = signers[0]?.publicKey ?? authority
  const rentOf = async (bytes: number): Promise<bigint> =>
    BigInt(await asked('getMinimumBalanceForRentExemption', connection.getMinimumBalanceForRentExemption(bytes)))
  let rents: Promise<{ table: bigint; address: bigint }> | undefined
  const readRents = async () => {
    const table = await rentOf(HEAD)
    return { table, address: (await rentOf(HEAD + ADDRESS)) - table }
  }
  return {
    tableAt: (slot) =>
      AddressLookupTableProgram.createLookupTable({ authority, payer, recentSlot: slot })[1].toBase58(),
    tables: (addresses) => readTables(connection, authority.toBase58(), addresses),
    async tableRents() {
      rents ??= readRents()
      return rents.catch((error: unknown) => {
        rents = undefined
        throw error
      })
    },
    signTable: (order, life) => sign(instructionsOf(order, authority, payer), signers, life),
  }
}

const accountOf = ({ address, addresses }: LookupTable): AddressLookupTableAccount =>
  new AddressLookupTableAccount({
    key: new PublicKey(address),
    state: {
      deactivationSlot: NEVER,
      lastExtendedSlot: 0,
      lastExtendedSlotStartIndex: 0,
      addresses: addresses.map((listed) => new PublicKey(listed)),
    },
  })

/**
 * A transaction of version 0, not signed. Its bytes are read again and every account looked up in the tables as the chain has
 * them: ChainError `bad-table` unless they say exactly what they were made of.
 */
export function compiledV0(
  instructions: readonly spl.Instruction[],
  payerKey: PublicKey,
  tables: readonly LookupTable[],
  { blockhash: recentBlockhash }: Lifetime,
): VersionedTransaction {
  const message = new TransactionMessage({
    payerKey,
    recentBlockhash,
    instructions: instructions.map(instructionOf),
  }).compileToV0Message(tables.map(accountOf))
  const transaction = new VersionedTransaction(message)
  const difference = differenceOf(transaction.serialize(), { instructions, feePayer: payerKey.toBase58(), tables })
  if (difference !== undefined) throw new ChainError('bad-table', `a transaction came out wrong: ${difference}`)
  return transaction
}

export function signV0(transaction: VersionedTransaction, signers: readonly Keypair[], life: Lifetime): SignedPayout {
  transaction.sign([...signers])
  const [signature] = transaction.signatures
  if (!signature) throw new Error('the library signed nothing')
  return { ...life, wire: transaction.serialize(), signature: encodeBase58(signature) }
}
