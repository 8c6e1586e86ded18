// The script, played by an unmodified @solana/web3.js 1.99 Connection with our own instruction encoders.
import {
  type Blockhash,
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  PublicKey,
  SendTransactionError,
  SystemProgram,
  Transaction,
  TransactionInstruction,
} from '@solana/web3.js'
import * as spl from '../../console/settlement/spl.ts'
import type { ScriptClient } from './rpc-script.ts'

const instruction = ({ program, accounts, data }: spl.Instruction): TransactionInstruction =>
  new TransactionInstruction({
    programId: new PublicKey(program),
    keys: accounts.map((a) => ({ pubkey: new PublicKey(a.address), isSigner: a.signer, isWritable: a.writable })),
    data: Buffer.from(data),
  })

export const tokenAddress = (mint: string, owner: string): string =>
  PublicKey.findProgramAddressSync(
    [owner, spl.TOKEN_PROGRAM, mint].map((part) => new PublicKey(part).toBytes()),
    new PublicKey(spl.ASSOCIATED_TOKEN_PROGRAM),
  )[0].toBase58()

export function createWeb3Client(rpcUrl: string): ScriptClient {
  const connection = new Connection(rpcUrl, 'confirmed')
  const payer = Keypair.generate()
  const address = payer.publicKey.toBase58()
  const payee = Keypair.generate().publicKey.toBase58()

  const transaction = async (instructions: TransactionInstruction[]) => {
    const life: { blockhash: Blockhash; lastValidBlockHeight: number } = await connection.getLatestBlockhash()
    return { life, tx: new Transaction({ feePayer: payer.publicKey, ...life }).add(...instructions) }
  }
  const land = async (instructions: TransactionInstruction[], signers: Keypair[]): Promise<string> => {
    const { life, tx } = await transaction(instructions)
    tx.sign(...signers)
    const signature = await connection.sendRawTransaction(tx.serialize())
    const { value } = await connection.confirmTransaction({ signature, ...life }, 'confirmed')
    if (value.err) throw new Error(JSON.stringify(value.err))
    return signature
  }
  const transfer = (mint: string, to: string, units: bigint, decimals: number): spl.Instruction[] => [
    spl.createAssociatedIdempotent({ payer: address, account: tokenAddress(mint, to), owner: to, mint }),
    spl.transferChecked({
      from: tokenAddress(mint, address),
      mint,
      to: tokenAddress(mint, to),
      authority: address,
      units,
      decimals,
    }),
  ]
  const transferOf = async (mint: string, units: bigint, decimals: number) => {
    const { tx } = await transaction(transfer(mint, payee, units, decimals).map(instruction))
    tx.sign(payer)
    return tx
  }

  return {
    payer: address,
    genesisHash: () => connection.getGenesisHash(),
    health: async () => String((await connection.getVersion())['solana-core']).replace(/.*/, 'ok'),
    async airdrop(sol) {
      const life = await connection.getLatestBlockhash()
      const signature = await connection.requestAirdrop(payer.publicKey, sol * LAMPORTS_PER_SOL)
      await connection.confirmTransaction({ signature, ...life }, 'confirmed')
    },
    balance: async () => BigInt(await connection.getBalance(payer.publicKey)),
    async makeMint(supply, decimals) {
      const mint = Keypair.generate()
      const to = tokenAddress(mint.publicKey.toBase58(), address)
      const create = SystemProgram.createAccount({
        fromPubkey: payer.publicKey,
        newAccountPubkey: mint.publicKey,
        lamports: await connection.getMinimumBalanceForRentExemption(82),
        space: 82,
        programId: new PublicKey(spl.TOKEN_PROGRAM),
      })
      const name = mint.publicKey.toBase58()
      const rest = [
        spl.initializeMint2(name, decimals, payer.publicKey.toBytes()),
        spl.createAssociatedIdempotent({ payer: address, account: to, owner: address, mint: name }),
        spl.mintToChecked({ mint: name, to, authority: address, units: supply, decimals }),
      ]
      await land([create, ...rest.map(instruction)], [payer, mint])
      return name
    },
    async pay(mint, units, decimals, memo) {
      const instructions = [...transfer(mint, payee, units, decimals), spl.memo(memo)].map(instruction)
      return { mint, payee, signature: await land(instructions, [payer]) }
    },
    async simulate(mint, units, decimals) {
      const { value } = await connection.simulateTransaction(await transferOf(mint, units, decimals))
      return { err: value.err, logs: value.logs ?? [] }
    },
    async send(mint, units, decimals) {
      try {
        await connection.sendRawTransaction((await transferOf(mint, units, decimals)).serialize())
      } catch (error) {
        if (error instanceof SendTransactionError) return { message: error.message, logs: error.logs ?? [] }
        throw error
      }
      throw new Error('it was accepted')
    },
    async tokenBalance(mint, owner) {
      const { value } = await connection.getTokenAccountBalance(new PublicKey(tokenAddress(mint, owner)))
      return BigInt(value.amount)
    },
    supply: async (mint) => BigInt((await connection.getTokenSupply(new PublicKey(mint))).value.amount),
    async tokenAccounts(owner, mint) {
      const found = await connection.getParsedTokenAccountsByOwner(new PublicKey(owner), { mint: new PublicKey(mint) })
      return found.value.map(({ account }) => {
        const { info } = account.data.parsed
        return { amount: info.tokenAmount.amount, mint: info.mint, owner: info.owner }
      })
    },
    status: async (signature) =>
      (await connection.getSignatureStatuses([signature], { searchTransactionHistory: true })).value[0] ?? null,
    history: (of) => connection.getSignaturesForAddress(new PublicKey(of)),
    async transaction(signature) {
      const found = await connection.getTransaction(signature, {
        commitment: 'confirmed',
        maxSupportedTransactionVersion: 0,
      })
      if (!found?.meta) return null
      const { preTokenBalances, postTokenBalances, fee, logMessages } = found.meta
      const of = (list: typeof preTokenBalances) =>
        BigInt(list?.find(({ owner }) => owner === payee)?.uiTokenAmount.amount ?? 0)
      return {
        fee: BigInt(fee),
        memoLogged: logMessages?.some((line) => line.includes('bramble:')) ?? false,
        tokenDelta: of(postTokenBalances) - of(preTokenBalances),
        slot: BigInt(found.slot),
      }
    },
    async mintAccount(mint) {
      const found = await connection.getAccountInfo(new PublicKey(mint))
      return found && { owner: found.owner.toBase58(), space: found.data.length, lamports: BigInt(found.lamports) }
    },
    async fee(mint) {
      const { tx } = await transaction(transfer(mint, payee, 1n, 6).map(instruction))
      const { value } = await connection.getFeeForMessage(tx.compileMessage())
      return value === null ? null : BigInt(value)
    },
    async slots() {
      const { epoch, blockHeight = 0 } = await connection.getEpochInfo('processed')
      const finalized = BigInt(await connection.getSlot('finalized'))
      return {
        slot: BigInt(await connection.getSlot('processed')),
        finalized,
        height: BigInt(blockHeight),
        epoch: BigInt(epoch),
      }
    },
    blockhashIsValid: async () =>
      (await connection.isBlockhashValid((await connection.getLatestBlockhash()).blockhash)).value,
    rent: async (bytes) => BigInt(await connection.getMinimumBalanceForRentExemption(bytes)),
    prioritizationFees: async () => (await connection.getRecentPrioritizationFees()).length,
    // The library keeps its socket for half a second after the last subscription; nothing to close by hand.
    close: async () => undefined,
  }
}
