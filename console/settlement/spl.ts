// The few SPL instructions Bramble needs, encoded by hand from the programs' layouts (the usual library drags in a
// package with an open advisory). test/settlement/spl.test.ts proves them against the genuine programs.
import { encodeBase58 } from './base58.ts'

export const SYSTEM_PROGRAM = '11111111111111111111111111111111'
export const TOKEN_PROGRAM = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA'
export const ASSOCIATED_TOKEN_PROGRAM = 'ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL'
/** Memo v2. The newer Memo4c2p… is not everywhere yet. */
export const MEMO_PROGRAM = 'MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr'

export const MINT_BYTES = 82
export const TOKEN_ACCOUNT_BYTES = 165

export interface InstructionAccount {
  readonly address: string
  readonly signer: boolean
  readonly writable: boolean
}
export interface Instruction {
  readonly program: string
  readonly accounts: readonly InstructionAccount[]
  readonly data: Uint8Array
}

const readonly = (address: string): InstructionAccount => ({ address, signer: false, writable: false })
const writable = (address: string): InstructionAccount => ({ address, signer: false, writable: true })
const signer = (address: string): InstructionAccount => ({ address, signer: true, writable: false })
const payer = (address: string): InstructionAccount => ({ address, signer: true, writable: true })

const U64_MAX = 2n ** 64n - 1n

/** Instruction tag, u64 little-endian, decimals. */
const checkedAmount = (tag: number, units: bigint, decimals: number): Uint8Array => {
  if (units <= 0n || units > U64_MAX) throw new RangeError(`${units} is not an amount of tokens`)
  const data = Buffer.alloc(10)
  data.writeUInt8(tag, 0)
  data.writeBigUInt64LE(units, 1)
  data.writeUInt8(decimals, 9)
  return data
}

/** `mintAuthority` is 32 raw bytes; there is no freeze authority: nobody can lock a board owner's tokens. */
export const initializeMint2 = (mint: string, decimals: number, mintAuthority: Uint8Array): Instruction => ({
  program: TOKEN_PROGRAM,
  accounts: [writable(mint)],
  data: Buffer.concat([Buffer.from([20, decimals]), mintAuthority, Buffer.from([0])]),
})

export const mintToChecked = (options: {
  readonly mint: string
  readonly to: string
  readonly authority: string
  readonly units: bigint
  readonly decimals: number
}): Instruction => ({
  program: TOKEN_PROGRAM,
  accounts: [writable(options.mint), writable(options.to), signer(options.authority)],
  data: checkedAmount(14, options.units, options.decimals),
})

/** Fails on chain when the mint or its decimals are not those named: a wrong configuration cannot pay a wrong amount. */
export const transferChecked = (options: {
  readonly from: string
  readonly mint: string
  readonly to: string
  readonly authority: string
  readonly units: bigint
  readonly decimals: number
}): Instruction => ({
  program: TOKEN_PROGRAM,
  accounts: [writable(options.from), readonly(options.mint), writable(options.to), signer(options.authority)],
  data: checkedAmount(12, options.units, options.decimals),
})

/** Makes the associated token account of a wallet, or does nothing where it is there. */
export const createAssociatedIdempotent = (options: {
  readonly payer: string
  readonly account: string
  readonly owner: string
  readonly mint: string
}): Instruction => ({
  program: ASSOCIATED_TOKEN_PROGRAM,
  accounts: [
    payer(options.payer),
    writable(options.account),
    readonly(options.owner),
    readonly(options.mint),
    readonly(SYSTEM_PROGRAM),
    readonly(TOKEN_PROGRAM),
  ],
  data: Uint8Array.of(1),
})

export const memo = (text: string): Instruction => ({ program: MEMO_PROGRAM, accounts: [], data: Buffer.from(text) })

/**
 * Whether a transaction failed because its marker, made by its first instruction, exists: the System program's error 0,
 * AccountAlreadyInUse. The text is the chain's own, as JSON.
 */
export const isMarkerError = (error: string): boolean => error === '{"InstructionError":[0,{"Custom":0}]}'

/** Amount of a token account; undefined for bytes that are none. */
export const amountOf = (data: Buffer): bigint | undefined =>
  data.length === TOKEN_ACCOUNT_BYTES ? data.readBigUInt64LE(64) : undefined

/** Decimals and supply of an initialised mint; undefined for bytes that are none. */
export const mintFacts = (data: Buffer): { decimals: number; supply: bigint } | undefined =>
  data.length === MINT_BYTES && data[45] === 1
    ? { decimals: data.readUInt8(44), supply: data.readBigUInt64LE(36) }
    : undefined

export interface TokenAccountFacts {
  readonly mint: string
  readonly owner: string
  readonly units: bigint
  /** Who may move `delegatedUnits` of it (ApproveChecked); absent when nobody. */
  readonly delegate?: string
  readonly delegatedUnits: bigint
}

/** What a token account says; undefined for bytes that are none. */
export function accountFacts(data: Buffer): TokenAccountFacts | undefined {
  if (data.length !== TOKEN_ACCOUNT_BYTES) return undefined
  const addressAt = (offset: number): string => encodeBase58(data.subarray(offset, offset + 32))
  const hasDelegate = data.readUInt32LE(72) === 1
  return {
    mint: addressAt(0),
    owner: addressAt(32),
    units: data.readBigUInt64LE(64),
    ...(hasDelegate && { delegate: addressAt(76) }),
    delegatedUnits: hasDelegate ? data.readBigUInt64LE(121) : 0n,
  }
}
