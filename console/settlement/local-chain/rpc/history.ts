// RPC methods that look back: statuses, a transaction by its signature, the signatures of an address.
import { z } from 'zod'
import { encodeBase58 } from '../../base58.ts'
import type { Chain } from '../chain.ts'
import { BLOCKHASH_WINDOW, type Commitment, commitmentOf, reaches } from '../clock.ts'
import type { Landed } from '../journal.ts'
import { parseTransaction, type WireTransaction } from '../message.ts'
import type { TransactionMeta } from '../record.ts'
import { RpcFault } from '../rpc-fault.ts'
import type { TransactionError } from '../svm-errors.ts'
import { Address, Context, config, contextOf, method, type RpcMethods, Signature } from './params.ts'

/** As on a node: the most signatures one getSignatureStatuses may ask for. */
const MAX_STATUSES = 256
const MAX_HISTORY = 1_000

export const errorOf = ({ err }: Landed): TransactionError | null => (err === null ? null : JSON.parse(err))

const statusView = (chain: Chain, landed: Landed) => {
  const newest = chain.clock.slot()
  const confirmationStatus = commitmentOf(landed.slot, newest)
  const err = errorOf(landed)
  return {
    slot: landed.slot,
    confirmations: confirmationStatus === 'finalized' ? null : newest - landed.slot,
    err,
    status: err === null ? { Ok: null } : { Err: err },
    confirmationStatus,
  }
}

const settled = (commitment: Commitment): Exclude<Commitment, 'processed'> => {
  if (commitment !== 'processed') return commitment
  throw new RpcFault('invalidParams', 'Method does not support commitment below `confirmed`')
}

export function historyMethods(chain: Chain): RpcMethods {
  return {
    getSignatureStatuses: method(
      [
        z.array(Signature).max(MAX_STATUSES),
        config(z.looseObject({ searchTransactionHistory: z.boolean().default(false) })),
      ],
      (signatures, { searchTransactionHistory }) => {
        const newest = chain.clock.slot()
        const value = signatures.map((signature) => {
          const landed = chain.find(signature)
          // Without the search a node knows only its status cache, which is as long as the blockhash window.
          const known = landed && (searchTransactionHistory || newest - landed.slot <= BLOCKHASH_WINDOW)
          return known ? statusView(chain, landed) : null
        })
        return { context: contextOf(chain, { commitment: 'processed' }), value }
      },
    ),
    getSignaturesForAddress: signaturesForAddress(chain),
    getTransaction: getTransaction(chain),
  }
}

const signaturesForAddress = (chain: Chain) => {
  const Config = Context.extend({
    limit: z.int().min(1).max(MAX_HISTORY).default(MAX_HISTORY),
    before: Signature.optional(),
    until: Signature.optional(),
  })
  const sequenceOf = (signature: string | undefined, otherwise: number): number =>
    signature === undefined ? otherwise : (chain.find(signature)?.seq ?? otherwise)
  return method([Address, config(Config)], (address, at) => {
    contextOf(chain, at)
    const found = chain.history({
      address,
      limit: at.limit,
      newestSlot: chain.clock.slot(settled(at.commitment)),
      beforeSeq: sequenceOf(at.before, Number.MAX_SAFE_INTEGER),
      afterSeq: sequenceOf(at.until, 0),
    })
    return found.map((landed) => ({
      signature: landed.signature,
      slot: landed.slot,
      err: errorOf(landed),
      memo: landed.memo,
      blockTime: landed.unixTime,
      confirmationStatus: commitmentOf(landed.slot, chain.clock.slot()),
    }))
  })
}

const TransactionConfig = Context.extend({
  encoding: z.enum(['json', 'jsonParsed', 'base58', 'base64']).default('json'),
  maxSupportedTransactionVersion: z.int().min(0).optional(),
})

const getTransaction = (chain: Chain) =>
  // The second parameter may be a bare encoding, as in the first version of the RPC.
  method(
    [
      Signature,
      z.preprocess((value) => (typeof value === 'string' ? { encoding: value } : (value ?? {})), TransactionConfig),
    ],
    (signature, { commitment, encoding, maxSupportedTransactionVersion }) => {
      const landed = chain.find(signature)
      if (!landed || !reaches(commitmentOf(landed.slot, chain.clock.slot()), settled(commitment))) return null
      const transaction = parseTransaction(landed.wire)
      if (transaction.version !== 'legacy' && maxSupportedTransactionVersion === undefined)
        throw new RpcFault(
          'unsupportedTransactionVersion',
          `Transaction version (${transaction.version}) is not supported by the requesting client. ` +
            'Please try the request again with the following configuration parameter: "maxSupportedTransactionVersion": 0',
        )
      const meta = JSON.parse(landed.meta) as TransactionMeta
      return {
        slot: landed.slot,
        blockTime: landed.unixTime,
        meta,
        transaction: transactionView(transaction, meta, encoding),
        ...(maxSupportedTransactionVersion !== undefined && { version: transaction.version }),
      }
    },
  )

const transactionView = (
  tx: WireTransaction,
  meta: TransactionMeta,
  encoding: z.infer<typeof TransactionConfig>['encoding'],
) => {
  if (encoding === 'base64') return [Buffer.from(tx.wire).toString('base64'), encoding]
  if (encoding === 'base58') return [encodeBase58(tx.wire), encoding]
  const message = encoding === 'json' ? plainMessage(tx) : parsedMessage(tx, meta)
  return { signatures: tx.signatures, message }
}

const plainMessage = ({ header, keys, blockhash, instructions, lookups, version }: WireTransaction) => ({
  header: {
    numRequiredSignatures: header.required,
    numReadonlySignedAccounts: header.readonlySigned,
    numReadonlyUnsignedAccounts: header.readonlyUnsigned,
  },
  accountKeys: keys,
  recentBlockhash: blockhash,
  instructions: instructions.map(({ programIdIndex, accounts, data }) => ({
    programIdIndex,
    accounts,
    data: encodeBase58(data),
    stackHeight: 1,
  })),
  ...(version === 0 && { addressTableLookups: lookupView(lookups) }),
})

const lookupView = (lookups: WireTransaction['lookups']) =>
  lookups.map(({ table, writable, readonly }) => ({
    accountKey: table,
    writableIndexes: writable,
    readonlyIndexes: readonly,
  }))

/** `jsonParsed` names every account in place; instruction data stays as it is, as for a program a node cannot read. */
const parsedMessage = (tx: WireTransaction, { loadedAddresses }: TransactionMeta) => {
  const { header, keys, blockhash, instructions, lookups, version } = tx
  const fixed = keys.map((pubkey, index) => ({
    pubkey,
    signer: index < header.required,
    writable:
      index < header.required - header.readonlySigned ||
      (index >= header.required && index < keys.length - header.readonlyUnsigned),
    source: 'transaction',
  }))
  const looked = (addresses: readonly string[], writable: boolean) =>
    addresses.map((pubkey) => ({ pubkey, signer: false, writable, source: 'lookupTable' }))
  const accountKeys = [...fixed, ...looked(loadedAddresses.writable, true), ...looked(loadedAddresses.readonly, false)]
  const nameOf = (index: number): string => accountKeys[index]?.pubkey ?? ''
  return {
    accountKeys,
    recentBlockhash: blockhash,
    instructions: instructions.map(({ programIdIndex, accounts, data }) => ({
      programId: nameOf(programIdIndex),
      accounts: accounts.map(nameOf),
      data: encodeBase58(data),
      stackHeight: 1,
    })),
    ...(version === 0 && { addressTableLookups: lookupView(lookups) }),
  }
}
