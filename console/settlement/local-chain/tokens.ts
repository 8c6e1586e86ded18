// SPL Token accounts and mints, read from their bytes and written the way a node's `jsonParsed` encoding writes them.
import { encodeBase58 } from '../base58.ts'
import type { AccountState } from './svm.ts'

export const TOKEN_PROGRAM = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA'
const TOKEN_ACCOUNT_BYTES = 165
const MINT_BYTES = 82
const NATIVE_MINT = 'So11111111111111111111111111111111111111112'

export interface TokenAccount {
  readonly mint: string
  readonly owner: string
  readonly amount: bigint
  readonly delegate: string | undefined
  readonly delegatedAmount: bigint
  readonly state: 'initialized' | 'frozen'
}
export interface Mint {
  readonly authority: string | null
  readonly freezeAuthority: string | null
  readonly supply: bigint
  readonly decimals: number
}

const view = (data: Uint8Array): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength)
const address = (data: Uint8Array, at: number): string => encodeBase58(data.subarray(at, at + 32))
/** COption<Pubkey>: a u32 tag, then the key. */
const optionalAddress = (data: Uint8Array, at: number): string | undefined =>
  view(data).readUInt32LE(at) === 1 ? address(data, at + 4) : undefined

export function tokenAccountOf({ owner, data }: AccountState): TokenAccount | undefined {
  if (owner !== TOKEN_PROGRAM || data.length !== TOKEN_ACCOUNT_BYTES || data[108] === 0) return undefined
  return {
    mint: address(data, 0),
    owner: address(data, 32),
    amount: view(data).readBigUInt64LE(64),
    delegate: optionalAddress(data, 72),
    delegatedAmount: view(data).readBigUInt64LE(121),
    state: data[108] === 2 ? 'frozen' : 'initialized',
  }
}

export function mintOf({ owner, data }: AccountState): Mint | undefined {
  if (owner !== TOKEN_PROGRAM || data.length !== MINT_BYTES || data[45] !== 1) return undefined
  return {
    authority: optionalAddress(data, 0) ?? null,
    supply: view(data).readBigUInt64LE(36),
    decimals: data[44] ?? 0,
    freezeAuthority: optionalAddress(data, 46) ?? null,
  }
}

/** The four faces of an amount in the RPC; `uiAmount` is a float by the RPC's own definition, for display only. */
export function uiAmount(amount: bigint, decimals: number) {
  const digits = amount.toString().padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals)
  const part = digits.slice(digits.length - decimals).replace(/0+$/, '')
  const uiAmountString = part ? `${whole}.${part}` : whole
  return { amount: amount.toString(), decimals, uiAmount: Number(uiAmountString), uiAmountString }
}

/** `jsonParsed` data of a token account or mint; undefined where a node would fall back to base64. */
export function parsedToken(account: AccountState, decimalsOf: (mint: string) => number | undefined) {
  const mint = mintOf(account)
  if (mint) {
    const { authority, freezeAuthority, supply, decimals } = mint
    const info = { mintAuthority: authority, freezeAuthority, supply: supply.toString(), decimals, isInitialized: true }
    return { program: 'spl-token', parsed: { type: 'mint', info }, space: MINT_BYTES }
  }
  const token = tokenAccountOf(account)
  const decimals = token && decimalsOf(token.mint)
  if (!token || decimals === undefined) return undefined
  const info = {
    mint: token.mint,
    owner: token.owner,
    state: token.state,
    isNative: token.mint === NATIVE_MINT,
    tokenAmount: uiAmount(token.amount, decimals),
    ...(token.delegate && { delegate: token.delegate, delegatedAmount: uiAmount(token.delegatedAmount, decimals) }),
  }
  return { program: 'spl-token', parsed: { type: 'account', info }, space: TOKEN_ACCOUNT_BYTES }
}
