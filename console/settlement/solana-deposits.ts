// Deposits and allowances on a Solana chain, for one token (settlement/deposits asks, this answers).
import { type Connection, Keypair, PublicKey, type TransactionInstruction } from '@solana/web3.js'
import type { Allowed, DepositChain } from './deposits/deposit-chain.ts'
import { depositKey } from './deposits/deposit-keys.ts'
import type { ChainKey } from './keys.ts'
import type { Token } from './solana.ts'
import { asked, associatedAddress, dataOf, instructionOf, lifetime, send, sign } from './solana-connection.ts'
import { changesOf, NEWEST_VERSION } from './solana-history.ts'
import * as spl from './spl.ts'

export interface DepositKeys {
  readonly treasury: ChainKey
  readonly feePayer: Keypair
}

export function createDepositChain(
  connection: Connection,
  { treasury, feePayer }: DepositKeys,
  token: Token,
): DepositChain {
  const { mint, decimals } = token
  const authority = Keypair.fromSecretKey(treasury.secretKey)
  const payer = feePayer.publicKey.toBase58()
  const accountOf = (wallet: string): string => associatedAddress(mint, wallet)

  const run = async (instructions: readonly spl.Instruction[], signer: Keypair) => {
    const signers = signer.publicKey.equals(feePayer.publicKey) ? [signer] : [feePayer, signer]
    const all: TransactionInstruction[] = instructions.map(instructionOf)
    const signed = sign(all, signers, await lifetime(connection))
    await send(connection, signed.wire)
    return signed
  }
  const addressOf = (requester: string) => {
    const { address } = depositKey(treasury, requester)
    return { wallet: address, account: accountOf(address) }
  }

  return {
    addressOf,
    async arrivals(account, { before, until }) {
      const options = { ...(before !== undefined && { before }), ...(until !== undefined && { until }) }
      const call = connection.getSignaturesForAddress(new PublicKey(account), options, 'finalized')
      const found = await asked('getSignaturesForAddress', call)
      return found.map(({ signature, err }) => ({ signature, hasFailed: err !== null }))
    },
    async change(signature, account) {
      const config = { commitment: 'finalized', maxSupportedTransactionVersion: NEWEST_VERSION } as const
      const found = await asked('getTransaction', connection.getTransaction(signature, config))
      if (!found) return undefined
      const changed = changesOf(found, mint).find((one) => one.account === account)
      return { units: changed?.change ?? 0n, slot: found.slot, atMs: (found.blockTime ?? 0) * 1_000 }
    },
    async foreign(wallet) {
      const programId = new PublicKey(spl.TOKEN_PROGRAM)
      const call = connection.getTokenAccountsByOwner(new PublicKey(wallet), { programId }, 'finalized')
      const { value } = await asked('getTokenAccountsByOwner', call)
      return value.flatMap(({ pubkey, account }) => {
        const facts = spl.accountFacts(account.data)
        const address = pubkey.toBase58()
        const isForeign = facts !== undefined && address !== accountOf(wallet) && facts.units > 0n
        return isForeign ? [{ account: address, mint: facts.mint, units: facts.units }] : []
      })
    },
    balances: async (accounts) =>
      (await dataOf(connection, accounts)).map((data) => (data && spl.amountOf(data)) ?? 0n),
    async sweep(requester, units) {
      const key = depositKey(treasury, requester)
      const [from, to] = [accountOf(key.address), accountOf(treasury.address)]
      const move = { from, mint, to, authority: key.address, units, decimals }
      await run([spl.transferChecked(move)], Keypair.fromSecretKey(key.secretKey))
    },
    allowed: (account) => allowed(connection, account, mint, treasury.address),
    async draw(account, { wallet, account: to }, units) {
      const make = spl.createAssociatedIdempotent({ payer, account: to, owner: wallet, mint })
      const move = { from: account, mint, to, authority: treasury.address, units, decimals }
      return run([make, spl.transferChecked(move)], authority)
    },
    finalizedHeight: () => asked('getBlockHeight', connection.getBlockHeight('finalized')),
    accountFault: (address) => accountFault(connection, address, treasury.address),
  }
}

async function allowed(
  connection: Connection,
  account: string,
  mint: string,
  delegate: string,
): Promise<Allowed | undefined> {
  const call = connection.getAccountInfo(new PublicKey(account), 'finalized')
  const found = await asked('getAccountInfo', call)
  const facts = found?.owner.toBase58() === spl.TOKEN_PROGRAM ? spl.accountFacts(found.data) : undefined
  if (facts?.mint !== mint) return undefined
  const allowedUnits = facts.delegate === delegate ? facts.delegatedUnits : 0n
  return { owner: facts.owner, units: facts.units, allowedUnits }
}

async function accountFault(connection: Connection, address: string, treasury: string): Promise<string | undefined> {
  if (address === treasury) return 'it is the treasury itself'
  const found = await asked('getAccountInfo', connection.getAccountInfo(new PublicKey(address), 'confirmed'))
  if (!found) return undefined
  const owner = found.owner.toBase58()
  if (found.executable) return 'it is a program'
  if (owner === spl.TOKEN_PROGRAM)
    return spl.mintFacts(found.data) ? 'it is a mint' : 'it is a token account; name the wallet that owns it'
  return owner === spl.SYSTEM_PROGRAM ? undefined : `it belongs to the program ${owner}`
}
