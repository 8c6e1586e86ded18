// A transaction in words a person can read: which programs were called for what, who got how many tokens, what it cost.
import type { Connection, VersionedTransactionResponse } from '@solana/web3.js'
import { asked } from './solana-connection.ts'
import { changesOf, NEWEST_VERSION } from './solana-history.ts'
import * as spl from './spl.ts'

export interface ReadInstruction {
  readonly program: string
  /** E.g. `SPL Token: TransferChecked`; the program's address where it is not known here. */
  readonly name: string
  /** A memo's text. */
  readonly text?: string
  readonly accounts: readonly string[]
}

export interface ReadTransaction {
  readonly signature: string
  readonly slot: number
  readonly atMs: number | undefined
  readonly feeLamports: number
  /** What it failed with; absent when it succeeded. */
  readonly error?: string
  readonly signers: readonly string[]
  readonly instructions: readonly ReadInstruction[]
  /** Lookup tables that it took accounts from, and how many; the accounts stand in the instructions by their own addresses. */
  readonly tables: readonly { readonly address: string; readonly accounts: number }[]
  /** By token account; base units. */
  readonly changes: readonly {
    readonly account: string
    readonly owner: string
    readonly mint: string
    readonly units: bigint
  }[]
  readonly logs: readonly string[]
}

interface Program {
  readonly name: string
  /** Bytes of its instruction tag. */
  readonly tagBytes: 0 | 1 | 4
  readonly tags: Readonly<Record<number, string>>
}

const PROGRAMS: Readonly<Record<string, Program>> = {
  [spl.SYSTEM_PROGRAM]: {
    name: 'System',
    tagBytes: 4,
    tags: { 0: 'CreateAccount', 2: 'Transfer', 3: 'CreateAccountWithSeed', 11: 'TransferWithSeed' },
  },
  [spl.TOKEN_PROGRAM]: {
    name: 'SPL Token',
    tagBytes: 1,
    tags: {
      3: 'Transfer',
      5: 'Revoke',
      9: 'CloseAccount',
      12: 'TransferChecked',
      13: 'ApproveChecked',
      14: 'MintToChecked',
      20: 'InitializeMint2',
    },
  },
  [spl.ASSOCIATED_TOKEN_PROGRAM]: {
    name: 'Associated Token',
    tagBytes: 1,
    tags: { 0: 'Create', 1: 'CreateIdempotent' },
  },
  AddressLookupTab1e1111111111111111111111111: {
    name: 'Lookup Table',
    tagBytes: 4,
    tags: { 0: 'Create', 2: 'Extend', 3: 'Deactivate', 4: 'Close' },
  },
  [spl.MEMO_PROGRAM]: { name: 'Memo', tagBytes: 0, tags: {} },
  ComputeBudget111111111111111111111111111111: {
    name: 'Compute Budget',
    tagBytes: 1,
    tags: { 2: 'SetComputeUnitLimit', 3: 'SetComputeUnitPrice' },
  },
}

function nameOf(program: string, data: Buffer): string {
  const known = PROGRAMS[program]
  if (!known) return program
  if (known.tagBytes === 0 || data.length < known.tagBytes) return known.name
  const tag = data.readUIntLE(0, known.tagBytes)
  return `${known.name}: ${known.tags[tag] ?? `instruction ${tag}`}`
}

const keysOf = ({ transaction, meta }: VersionedTransactionResponse): string[] => {
  const loaded = meta?.loadedAddresses
  const all = [...transaction.message.staticAccountKeys, ...(loaded?.writable ?? []), ...(loaded?.readonly ?? [])]
  return all.map((key) => key.toBase58())
}

function instructionsOf(found: VersionedTransactionResponse): ReadInstruction[] {
  const keys = keysOf(found)
  return found.transaction.message.compiledInstructions.map(({ programIdIndex, accountKeyIndexes, data }) => {
    const program = keys[programIdIndex] ?? ''
    const bytes = Buffer.from(data)
    return {
      program,
      name: nameOf(program, bytes),
      ...(program === spl.MEMO_PROGRAM && { text: bytes.toString() }),
      accounts: accountKeyIndexes.map((index) => keys[index] ?? ''),
    }
  })
}

const mintsIn = ({ meta }: VersionedTransactionResponse): string[] => [
  ...new Set([...(meta?.preTokenBalances ?? []), ...(meta?.postTokenBalances ?? [])].map(({ mint }) => mint)),
]

/** Undefined while the answering node does not know it. */
export async function readTransaction(connection: Connection, signature: string): Promise<ReadTransaction | undefined> {
  const config = { commitment: 'confirmed', maxSupportedTransactionVersion: NEWEST_VERSION } as const
  const call = connection.getTransaction(signature, config)
  const found = await asked('getTransaction', call)
  if (!found) return undefined
  const { header } = found.transaction.message
  return {
    signature,
    slot: found.slot,
    atMs: found.blockTime == null ? undefined : found.blockTime * 1_000,
    feeLamports: found.meta?.fee ?? 0,
    ...(found.meta?.err && { error: JSON.stringify(found.meta.err) }),
    signers: keysOf(found).slice(0, header.numRequiredSignatures),
    instructions: instructionsOf(found),
    tables: found.transaction.message.addressTableLookups.map(({ accountKey, writableIndexes, readonlyIndexes }) => ({
      address: accountKey.toBase58(),
      accounts: writableIndexes.length + readonlyIndexes.length,
    })),
    changes: mintsIn(found).flatMap((mint) =>
      changesOf(found, mint)
        .filter(({ change }) => change !== 0n)
        .map(({ account, owner, change }) => ({ account, owner, mint, units: change })),
    ),
    logs: found.meta?.logMessages ?? [],
  }
}
