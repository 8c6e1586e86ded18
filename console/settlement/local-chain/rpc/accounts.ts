// RPC methods that read accounts and tokens. The state read is always the newest (the chain never forks); the commitment
// decides the context slot only.
import { zstdCompressSync } from 'node:zlib'
import { z } from 'zod'
import { decodeBase58, encodeBase58 } from '../../base58.ts'
import type { Chain } from '../chain.ts'
import { parsedTable } from '../lookup-tables.ts'
import { RpcFault } from '../rpc-fault.ts'
import type { AccountState } from '../svm.ts'
import { mintOf, parsedToken, TOKEN_PROGRAM, tokenAccountOf, uiAmount } from '../tokens.ts'
import { AccountConfig, Address, Context, config, contextOf, method, type RpcMethods } from './params.ts'

/** A node refuses longer base58 answers: the encoding is quadratic. */
const MAX_BASE58_BYTES = 128
const MAX_ACCOUNTS = 100

export const decimalsOf = (chain: Chain) => (mint: string) => {
  const account = chain.account(mint)
  return account && mintOf(account)?.decimals
}

const encoded = (data: Uint8Array, encoding: AccountConfig['encoding']) => {
  if (encoding === 'base64+zstd') return [zstdCompressSync(data).toString('base64'), encoding]
  if (encoding === 'base64' || encoding === 'jsonParsed') return [Buffer.from(data).toString('base64'), 'base64']
  if (data.length > MAX_BASE58_BYTES)
    throw new RpcFault(
      'invalidRequest',
      'Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.',
    )
  // Without an encoding a node answers the old form: a bare base58 text.
  return encoding === 'base58' ? [encodeBase58(data), 'base58'] : encodeBase58(data)
}

/** An account as the RPC writes it. */
export function accountView(chain: Chain, account: AccountState, { encoding, dataSlice }: Partial<AccountConfig>) {
  const parsed =
    encoding === 'jsonParsed' ? (parsedToken(account, decimalsOf(chain)) ?? parsedTable(account)) : undefined
  const { offset, length } = dataSlice ?? { offset: 0, length: account.data.length }
  return {
    data: parsed ?? encoded(account.data.subarray(offset, offset + length), encoding),
    executable: account.executable,
    lamports: account.lamports,
    owner: account.owner,
    rentEpoch: account.rentEpoch,
    space: account.data.length,
  }
}

export function accountMethods(chain: Chain): RpcMethods {
  const read = config(AccountConfig)
  const viewOf = (address: string, at: AccountConfig) => {
    const account = chain.account(address)
    return account ? accountView(chain, account, at) : null
  }
  return {
    getBalance: method([Address, config(Context)], (address, at) => ({
      context: contextOf(chain, at),
      value: chain.account(address)?.lamports ?? 0,
    })),
    getAccountInfo: method([Address, read], (address, at) => ({
      context: contextOf(chain, at),
      value: viewOf(address, at),
    })),
    getMultipleAccounts: method([z.array(Address).max(MAX_ACCOUNTS), read], (addresses, at) => ({
      context: contextOf(chain, at),
      value: addresses.map((address) => viewOf(address, at)),
    })),
    ...programMethods(chain),
    ...tokenMethods(chain),
  }
}

const Filter = z.union([
  z.strictObject({ dataSize: z.int().min(0) }),
  z.strictObject({
    memcmp: z.looseObject({
      offset: z.int().min(0),
      bytes: z.string(),
      encoding: z.enum(['base58', 'base64']).default('base58'),
    }),
  }),
])

const passes = (filter: z.infer<typeof Filter>, { data }: AccountState): boolean => {
  if ('dataSize' in filter) return data.length === filter.dataSize
  const { offset, bytes, encoding } = filter.memcmp
  const wanted = encoding === 'base64' ? Buffer.from(bytes, 'base64') : decodeBase58(bytes)
  if (!wanted) throw new RpcFault('invalidParams', 'Invalid params: memcmp bytes are not base58')
  return Buffer.from(data.subarray(offset, offset + wanted.length)).equals(wanted)
}

function programMethods(chain: Chain): RpcMethods {
  const Config = AccountConfig.extend({
    filters: z.array(Filter).max(4).default([]),
    withContext: z.boolean().default(false),
  })
  return {
    getProgramAccounts: method([Address, config(Config)], (program, at) => {
      const value = [...chain.programAccounts(program)]
        .filter(([, account]) => at.filters.every((filter) => passes(filter, account)))
        .map(([pubkey, account]) => ({ pubkey, account: accountView(chain, account, at) }))
      return at.withContext ? { context: contextOf(chain, at), value } : value
    }),
  }
}

const Holder = z.union([z.strictObject({ mint: Address }), z.strictObject({ programId: Address })])

function tokenMethods(chain: Chain): RpcMethods {
  const context = config(Context)
  const missing = (what: string) => new RpcFault('invalidParams', `Invalid param: ${what}`)
  return {
    getTokenAccountBalance: method([Address, context], (address, at) => {
      const account = chain.account(address)
      const token = account && tokenAccountOf(account)
      const decimals = token && decimalsOf(chain)(token.mint)
      if (!token || decimals === undefined) throw missing(account ? 'not a Token account' : 'could not find account')
      return { context: contextOf(chain, at), value: uiAmount(token.amount, decimals) }
    }),
    getTokenSupply: method([Address, context], (address, at) => {
      const account = chain.account(address)
      const mint = account && mintOf(account)
      if (!mint) throw missing(account ? 'not a Token mint' : 'could not find account')
      return { context: contextOf(chain, at), value: uiAmount(mint.supply, mint.decimals) }
    }),
    getTokenAccountsByOwner: method([Address, Holder, config(AccountConfig)], (owner, holder, at) => {
      if ('programId' in holder && holder.programId !== TOKEN_PROGRAM)
        return { context: contextOf(chain, at), value: [] }
      const value = [...chain.programAccounts(TOKEN_PROGRAM)].flatMap(([pubkey, account]) => {
        const token = tokenAccountOf(account)
        const wanted = token?.owner === owner && (!('mint' in holder) || token.mint === holder.mint)
        return wanted ? [{ pubkey, account: accountView(chain, account, at) }] : []
      })
      return { context: contextOf(chain, at), value }
    }),
  }
}
