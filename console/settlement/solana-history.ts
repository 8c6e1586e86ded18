// What happened on the chain: the transactions of an address, and what one of them did with the token.
import { type Connection, PublicKey, type VersionedTransactionResponse } from '@solana/web3.js'
import { decodeBase58 } from './base58.ts'
import { isOurMemo, memosIn } from './memo.ts'
import type { ChainTransfer, HistoryEntry, Share } from './payer.ts'
import { asked } from './solana-connection.ts'
import { MEMO_PROGRAM } from './spl.ts'

/**
 * Asked twice: of a node that must have seen `minSlot` (an older one refuses), and without that condition, which some
 * implementations take for a filter that leaves out what is older. Either answer alone might lack a payout.
 */
export async function history(
  connection: Connection,
  address: string,
  { before, minSlot }: { readonly before?: string; readonly minSlot: number },
): Promise<HistoryEntry[]> {
  const page = async (condition: { readonly minContextSlot?: number }) => {
    const options = { ...condition, ...(before !== undefined && { before }) }
    return asked(
      'getSignaturesForAddress',
      connection.getSignaturesForAddress(new PublicKey(address), options, 'confirmed'),
    )
  }
  const [fresh, whole] = await Promise.all([page({ minContextSlot: minSlot }), page({})])
  const known = new Set(fresh.map(({ signature }) => signature))
  const all = [...fresh, ...whole.filter(({ signature }) => !known.has(signature))]
  return all.map(({ signature, slot, memo, err, confirmationStatus }) => ({
    signature,
    slot,
    memo: memo === null ? undefined : memosIn(memo).find(isOurMemo),
    isFinal: confirmationStatus === 'finalized',
    hasFailed: err !== null,
  }))
}

/**
 * A node refuses to show a transaction that is newer than its reader says to know, and anybody may name our addresses in one:
 * a deposit by a wallet of today comes as version 1.
 */
export const NEWEST_VERSION = 1

interface Where {
  readonly authority: string
  /** The treasury's token account. */
  readonly from: string
  readonly mint: string
}

/** Base units by token account of this mint: [account, owner, change]. */
export function changesOf({ transaction, meta }: VersionedTransactionResponse, mint: string) {
  const { staticAccountKeys } = transaction.message
  const loaded = meta?.loadedAddresses
  const keys = [...staticAccountKeys, ...(loaded?.writable ?? []), ...(loaded?.readonly ?? [])]
  const changes = new Map<number, { owner: string; change: bigint }>()
  const add = (sign: bigint, balances: NonNullable<typeof meta>['postTokenBalances']): void => {
    for (const { accountIndex, mint: of, owner, uiTokenAmount } of balances ?? []) {
      if (of !== mint) continue
      const known = changes.get(accountIndex)?.change ?? 0n
      changes.set(accountIndex, { owner: owner ?? '', change: known + sign * BigInt(uiTokenAmount.amount) })
    }
  }
  add(-1n, meta?.preTokenBalances)
  add(1n, meta?.postTokenBalances)
  return [...changes].map(([index, { owner, change }]) => ({
    account: keys[index]?.toBase58() ?? '',
    owner,
    change,
  }))
}

const memoIn = (message: VersionedTransactionResponse['transaction']['message']): string | undefined =>
  message.compiledInstructions
    .filter(({ programIdIndex }) => message.staticAccountKeys[programIdIndex]?.toBase58() === MEMO_PROGRAM)
    .map(({ data }) => Buffer.from(data).toString())
    .find((text) => text.startsWith('bramble:'))

/**
 * The bytes that were sent: signatures, then the message. None for version 1, which the library reads and does not write, and
 * which we never send.
 */
const wireOf = ({ signatures, message }: VersionedTransactionResponse['transaction']): Uint8Array =>
  message.version === 1
    ? new Uint8Array()
    : Buffer.concat([
        Buffer.from([signatures.length]),
        ...signatures.map((signature) => decodeBase58(signature) ?? new Uint8Array()),
        message.serialize(),
      ])

export async function transfer(
  connection: Connection,
  signature: string,
  { authority, from, mint }: Where,
): Promise<ChainTransfer | undefined> {
  const config = { commitment: 'finalized', maxSupportedTransactionVersion: NEWEST_VERSION } as const
  const found = await asked('getTransaction', connection.getTransaction(signature, config))
  if (!found) return undefined
  const { message } = found.transaction
  const signers = message.staticAccountKeys.slice(0, message.header.numRequiredSignatures)
  const changes = changesOf(found, mint)
  const received: Share[] = changes
    .filter(({ owner, change }) => change > 0n && owner !== authority)
    .map(({ owner, change }) => ({ wallet: owner, units: change }))
  return {
    signature,
    isOurs: signers.some((signer) => signer.toBase58() === authority),
    memo: memoIn(message),
    atMs: (found.blockTime ?? 0) * 1_000,
    blockhash: message.recentBlockhash,
    wire: wireOf(found.transaction),
    treasuryChange: changes.find(({ account }) => account === from)?.change ?? 0n,
    received,
  }
}
