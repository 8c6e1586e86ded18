// What only a local chain's treasury does: SOL from the faucet, making the mint, and minting more.
import { type Connection, Keypair, PublicKey, SystemProgram, type TransactionInstruction } from '@solana/web3.js'
import { ChainError } from './chain-error.ts'
import type { ChainKey } from './keys.ts'
import type { Token } from './solana.ts'
import { asked, associatedAddress, instructionOf, lifetime, send, sign, statuses } from './solana-connection.ts'
import * as spl from './spl.ts'

const CONFIRM_POLL_MS = 200

export function createMinter(connection: Connection, treasury: Keypair, sleep: (ms: number) => Promise<unknown>) {
  const owner = treasury.publicKey.toBase58()

  /** Waits for `confirmed`; for set-up on the local chain only, where nothing forks. */
  const confirmed = async (signature: string, lastValidBlockHeight: number): Promise<string> => {
    for (;;) {
      const height = await asked('getBlockHeight', connection.getBlockHeight('confirmed'))
      const status = (await statuses(connection, [signature])).found.get(signature)
      if (status?.error) throw new ChainError('rejected', `transaction ${signature} failed: ${status.error}`)
      if (status && status.commitment !== 'processed') return signature
      if (height > lastValidBlockHeight) throw new ChainError('unreachable', `transaction ${signature} never landed`)
      await sleep(CONFIRM_POLL_MS)
    }
  }

  const run = async (instructions: readonly TransactionInstruction[], signers: readonly Keypair[]): Promise<string> => {
    const signed = sign(instructions, signers, await lifetime(connection))
    await send(connection, signed.wire)
    return confirmed(signed.signature, signed.lastValidBlockHeight)
  }

  const supplyTo = (mint: string, decimals: number, units: bigint, wallet = owner): TransactionInstruction[] => {
    const account = associatedAddress(mint, wallet)
    return [
      spl.createAssociatedIdempotent({ payer: owner, account, owner: wallet, mint }),
      spl.mintToChecked({ mint, to: account, authority: owner, units, decimals }),
    ].map(instructionOf)
  }

  return {
    async airdrop(address: string, lamports: number) {
      const { lastValidBlockHeight } = await lifetime(connection)
      const signature = await asked('requestAirdrop', connection.requestAirdrop(new PublicKey(address), lamports))
      return confirmed(signature, lastValidBlockHeight)
    },
    async createMint(key: ChainKey, decimals: number, supply: bigint) {
      const mint = Keypair.fromSecretKey(key.secretKey)
      const rent = connection.getMinimumBalanceForRentExemption(spl.MINT_BYTES)
      const create = SystemProgram.createAccount({
        fromPubkey: treasury.publicKey,
        newAccountPubkey: mint.publicKey,
        lamports: await asked('getMinimumBalanceForRentExemption', rent),
        space: spl.MINT_BYTES,
        programId: new PublicKey(spl.TOKEN_PROGRAM),
      })
      const initialize = instructionOf(spl.initializeMint2(key.address, decimals, treasury.publicKey.toBytes()))
      return run([create, initialize, ...supplyTo(key.address, decimals, supply)], [treasury, mint])
    },
    mintTo: (token: Token, units: bigint, wallet = owner) =>
      run(supplyTo(token.mint, token.decimals, units, wallet), [treasury]),
  }
}
