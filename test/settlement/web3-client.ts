// The script, played by an unmodified @solana/web3.js 1.99 Connection with our own instruction encoders.
import {
  AddressLookupTableProgram,
  type Blockhash,
  Connection,
  Keypair,
  LAMPORTS_PER_SOL,
  PublicKey,
  SendTransactionError,
  SystemProgram,
  Transaction,
  TransactionInstruction,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js'
import * as spl from '../../console/settlement/spl.ts'
import type { ScriptClient } from './rpc-script.ts'

interface Socket {
  setAutoReconnect(on: boolean): void
  close(): void
}

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

/** Without `wsUrl` the library takes the port after the RPC's. */
export function createWeb3Client(rpcUrl: string, wsUrl?: string): ScriptClient {
  const connection = new Connection(rpcUrl, { commitment: 'confirmed', ...(wsUrl && { wsEndpoint: wsUrl }) })
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

  const seedAddress = (seed: string) => PublicKey.createWithSeed(payer.publicKey, seed, SystemProgram.programId)
  const seeded = async (seed: string): Promise<TransactionInstruction> =>
    SystemProgram.createAccountWithSeed({
      fromPubkey: payer.publicKey,
      basePubkey: payer.publicKey,
      newAccountPubkey: await seedAddress(seed),
      seed,
      lamports: await connection.getMinimumBalanceForRentExemption(0),
      space: 0,
      programId: SystemProgram.programId,
    })

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
    async makeSeeded(seed, memo) {
      await land([await seeded(seed), instruction(spl.memo(memo))], [payer])
      return (await seedAddress(seed)).toBase58()
    },
    async tryoutSeeded(seed) {
      const { tx } = await transaction([await seeded(seed)])
      tx.sign(payer)
      return (await connection.simulateTransaction(tx)).value.err
    },
    async emptySeeded(seed) {
      const fromPubkey = await seedAddress(seed)
      const lamports = BigInt(await connection.getBalance(fromPubkey))
      const { publicKey: basePubkey } = payer
      const { programId } = SystemProgram
      const back = { fromPubkey, basePubkey, seed, programId, toPubkey: basePubkey, lamports }
      await land([SystemProgram.transfer(back)], [payer])
    },
    async payThroughTable(mint, units, decimals) {
      const by = { payer: payer.publicKey, authority: payer.publicKey }
      const recentSlot = await connection.getSlot('confirmed')
      const [create, lookupTable] = AddressLookupTableProgram.createLookupTable({ ...by, recentSlot })
      const addresses = [new PublicKey(tokenAddress(mint, payee))]
      const [open, move] = transfer(mint, payee, units, decimals).map(instruction) as [
        TransactionInstruction,
        TransactionInstruction,
      ]
      await land(
        [create, AddressLookupTableProgram.extendLookupTable({ ...by, lookupTable, addresses }), open],
        [payer],
      )
      const { value: table } = await connection.getAddressLookupTable(lookupTable)
      // What was added can be used from the next slot on.
      for (const added = await connection.getSlot('processed'); (await connection.getSlot('confirmed')) <= added; );
      const { blockhash: recentBlockhash, ...life } = await connection.getLatestBlockhash()
      const message = new TransactionMessage({ payerKey: payer.publicKey, recentBlockhash, instructions: [move] })
      const tx = new VersionedTransaction(message.compileToV0Message([table!]))
      tx.sign([payer])
      const signature = await connection.sendTransaction(tx)
      await connection.confirmTransaction({ signature, blockhash: recentBlockhash, ...life }, 'confirmed')
      return { signature, table: lookupTable.toBase58() }
    },
    async tableAccount(table) {
      const found = (await connection.getAddressLookupTable(new PublicKey(table))).value
      return (
        found && {
          authority: found.state.authority?.toBase58() ?? '',
          addresses: found.state.addresses.map((key) => key.toBase58()),
          isActive: found.isActive(),
        }
      )
    },
    async deactivateTable(table) {
      const at = { lookupTable: new PublicKey(table), authority: payer.publicKey }
      await land([AddressLookupTableProgram.deactivateLookupTable(at)], [payer])
    },
    async allTokens(owner) {
      const programId = new PublicKey(spl.TOKEN_PROGRAM)
      const found = await connection.getTokenAccountsByOwner(new PublicKey(owner), { programId })
      return found.value.map(({ account }) => spl.accountFacts(account.data)?.mint ?? '')
    },
    nextSlot: () =>
      new Promise((resolve) => {
        const id = connection.onSlotChange(({ slot }) => {
          void connection.removeSlotChangeListener(id)
          resolve(BigInt(slot))
        })
      }),
    balanceFrom: async (minContextSlot) =>
      BigInt(
        await connection.getBalance(payer.publicKey, {
          commitment: 'confirmed',
          minContextSlot: Number(minContextSlot),
        }),
      ),
    lamportsOf: async (of) => BigInt(await connection.getBalance(new PublicKey(of))),
    status: async (signature) =>
      (await connection.getSignatureStatuses([signature], { searchTransactionHistory: true })).value[0] ?? null,
    history: (of, page) => connection.getSignaturesForAddress(new PublicKey(of), page),
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
        loaded: Object.values(found.meta.loadedAddresses ?? {}).flatMap((list) => list.map((key) => key.toBase58())),
        lookups: found.transaction.message.addressTableLookups.map((lookup) => ({
          table: lookup.accountKey.toBase58(),
          writable: lookup.writableIndexes,
          readonly: lookup.readonlyIndexes,
        })),
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
    // The library has no way to close its socket, and tries for ever to open it again.
    close: async () => {
      const socket: Socket = Reflect.get(connection, '_rpcWebSocket')
      socket.setAutoReconnect(false)
      socket.close()
    },
  }
}
