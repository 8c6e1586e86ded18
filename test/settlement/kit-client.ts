// The script, played by an unmodified @solana/kit 8 with the genuine @solana-program builders.
import {
  AccountRole,
  type Address,
  address,
  airdropFactory,
  appendTransactionMessageInstructions,
  compileTransactionMessage,
  compressTransactionMessageUsingAddressLookupTables,
  createAddressWithSeed,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  generateKeyPairSigner,
  getAddressEncoder,
  getBase64Decoder,
  getBase64EncodedWireTransaction,
  getCompiledTransactionMessageEncoder,
  getProgramDerivedAddress,
  getSignatureFromTransaction,
  type Instruction,
  isSolanaError,
  type KeyPairSigner,
  lamports,
  pipe,
  type Signature,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
  sendAndConfirmTransactionFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
  type TransactionMessageBytesBase64,
} from '@solana/kit'
import {
  getCreateAccountInstruction,
  getCreateAccountWithSeedInstruction,
  getTransferSolWithSeedInstruction,
  SYSTEM_PROGRAM_ADDRESS,
} from '@solana-program/system'
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstruction,
  getInitializeMint2Instruction,
  getMintToCheckedInstruction,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token'
import { MEMO_PROGRAM } from '../../console/settlement/spl.ts'
import type { ScriptClient } from './rpc-script.ts'

const LOOKUP_TABLE_PROGRAM = address('AddressLookupTab1e1111111111111111111111111')
/** By hand: the library's own package for it does not go with this release. CreateLookupTable is 0, ExtendLookupTable 2,
 * DeactivateLookupTable 3. */
const tableInstruction = (table: Address, payer: Address, data: Uint8Array): Instruction => ({
  programAddress: LOOKUP_TABLE_PROGRAM,
  accounts: [
    { address: table, role: AccountRole.WRITABLE },
    { address: payer, role: AccountRole.READONLY_SIGNER },
    { address: payer, role: AccountRole.WRITABLE_SIGNER },
    { address: SYSTEM_PROGRAM_ADDRESS, role: AccountRole.READONLY },
  ],
  data,
})
/** kit reads every integer as bigint. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_key, item) => (typeof item === 'bigint' ? Number(item) : item)))
const little = (bytes: 4 | 8, value: bigint): Buffer => {
  const buffer = Buffer.alloc(8)
  buffer.writeBigUInt64LE(value)
  return buffer.subarray(0, bytes)
}

interface Lookup {
  readonly accountKey: string
  readonly writableIndexes: readonly number[]
  readonly readonlyIndexes: readonly number[]
}
const lookupsOf = (message: object): readonly Lookup[] =>
  'addressTableLookups' in message ? (message.addressTableLookups as readonly Lookup[]) : []

export async function createKitClient(rpcUrl: string, wsUrl: string): Promise<ScriptClient> {
  const rpc = createSolanaRpc(rpcUrl)
  const rpcSubscriptions = createSolanaRpcSubscriptions(wsUrl)
  const payer = await generateKeyPairSigner()
  const payee = (await generateKeyPairSigner()).address
  const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions })

  const message = async (instructions: readonly Instruction[]) => {
    const { value: life } = await rpc.getLatestBlockhash({ commitment: 'confirmed' }).send()
    return pipe(
      createTransactionMessage({ version: 0 }),
      (m) => setTransactionMessageFeePayerSigner(payer, m),
      (m) => setTransactionMessageLifetimeUsingBlockhash(life, m),
      (m) => appendTransactionMessageInstructions(instructions, m),
    )
  }
  const land = async (instructions: readonly Instruction[]): Promise<string> => {
    const signed = await signTransactionMessageWithSigners(await message(instructions))
    await sendAndConfirm(signed as Parameters<typeof sendAndConfirm>[0], { commitment: 'confirmed' })
    return getSignatureFromTransaction(signed)
  }
  const tokenAddress = async (mint: string, owner: string): Promise<Address> =>
    (
      await findAssociatedTokenPda({ mint: address(mint), owner: address(owner), tokenProgram: TOKEN_PROGRAM_ADDRESS })
    )[0]
  const transfer = async (mint: string, units: bigint, decimals: number): Promise<Instruction[]> => {
    const [from, to] = await Promise.all([tokenAddress(mint, payer.address), tokenAddress(mint, payee)])
    return [
      getCreateAssociatedTokenIdempotentInstruction({ payer, ata: to, owner: payee, mint: address(mint) }),
      getTransferCheckedInstruction({
        source: from,
        mint: address(mint),
        destination: to,
        authority: payer,
        amount: units,
        decimals,
      }),
    ]
  }
  const transferOf = async (mint: string, units: bigint, decimals: number) => {
    const signed = await signTransactionMessageWithSigners(await message(await transfer(mint, units, decimals)))
    return getBase64EncodedWireTransaction(signed)
  }

  const memoOf = (text: string): Instruction => ({
    programAddress: address(MEMO_PROGRAM),
    data: new TextEncoder().encode(text),
  })
  const seedAddress = (seed: string): Promise<Address> =>
    createAddressWithSeed({ baseAddress: payer.address, programAddress: SYSTEM_PROGRAM_ADDRESS, seed })
  const seeded = async (seed: string): Promise<Instruction> =>
    getCreateAccountWithSeedInstruction({
      payer,
      newAccount: await seedAddress(seed),
      baseAccount: payer,
      base: payer.address,
      seed,
      amount: await rpc.getMinimumBalanceForRentExemption(0n).send(),
      space: 0,
      programAddress: SYSTEM_PROGRAM_ADDRESS,
    })

  return {
    payer: payer.address,
    genesisHash: () => rpc.getGenesisHash().send(),
    health: () => rpc.getHealth().send(),
    async airdrop(sol) {
      const airdrop = airdropFactory({ rpc, rpcSubscriptions } as unknown as Parameters<typeof airdropFactory>[0])
      await airdrop({
        commitment: 'confirmed',
        lamports: lamports(BigInt(sol) * 1_000_000_000n),
        recipientAddress: payer.address,
      })
    },
    balance: async () => (await rpc.getBalance(payer.address, { commitment: 'confirmed' }).send()).value,
    async makeMint(supply, decimals) {
      const mint: KeyPairSigner = await generateKeyPairSigner()
      const ata = await tokenAddress(mint.address, payer.address)
      const space = await rpc.getMinimumBalanceForRentExemption(82n).send()
      await land([
        getCreateAccountInstruction({
          payer,
          newAccount: mint,
          lamports: space,
          space: 82,
          programAddress: TOKEN_PROGRAM_ADDRESS,
        }),
        getInitializeMint2Instruction({ mint: mint.address, decimals, mintAuthority: payer.address }),
        getCreateAssociatedTokenIdempotentInstruction({ payer, ata, owner: payer.address, mint: mint.address }),
        getMintToCheckedInstruction({ mint: mint.address, token: ata, mintAuthority: payer, amount: supply, decimals }),
      ])
      return mint.address
    },
    async pay(mint, units, decimals, memo) {
      return { mint, payee, signature: await land([...(await transfer(mint, units, decimals)), memoOf(memo)]) }
    },
    async simulate(mint, units, decimals) {
      const wire = await transferOf(mint, units, decimals)
      const { value } = await rpc.simulateTransaction(wire, { encoding: 'base64', commitment: 'confirmed' }).send()
      return { err: plain(value.err), logs: value.logs ?? [] }
    },
    async send(mint, units, decimals) {
      const wire = await transferOf(mint, units, decimals)
      try {
        await rpc.sendTransaction(wire, { encoding: 'base64', preflightCommitment: 'confirmed' }).send()
      } catch (error) {
        if (!isSolanaError(error, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE)) throw error
        const cause = error.cause instanceof Error ? error.cause.message : ''
        return { message: `${error.message} ${cause}`, logs: error.context.logs ?? [] }
      }
      throw new Error('it was accepted')
    },
    async tokenBalance(mint, owner) {
      const { value } = await rpc
        .getTokenAccountBalance(await tokenAddress(mint, owner), { commitment: 'confirmed' })
        .send()
      return BigInt(value.amount)
    },
    supply: async (mint) => BigInt((await rpc.getTokenSupply(address(mint)).send()).value.amount),
    async tokenAccounts(owner, mint) {
      const { value } = await rpc
        .getTokenAccountsByOwner(address(owner), { mint: address(mint) }, { encoding: 'jsonParsed' })
        .send()
      return value.map(({ account }) => {
        const { info } = account.data.parsed
        return { amount: info.tokenAmount.amount, mint: info.mint, owner: info.owner }
      })
    },
    async makeSeeded(seed, memo) {
      await land([await seeded(seed), memoOf(memo)])
      return seedAddress(seed)
    },
    async tryoutSeeded(seed) {
      const signed = await signTransactionMessageWithSigners(await message([await seeded(seed)]))
      const wire = getBase64EncodedWireTransaction(signed)
      return plain(
        (await rpc.simulateTransaction(wire, { encoding: 'base64', commitment: 'confirmed' }).send()).value.err,
      )
    },
    async emptySeeded(seed) {
      const source = await seedAddress(seed)
      const { value: amount } = await rpc.getBalance(source, { commitment: 'confirmed' }).send()
      const fromOwner = SYSTEM_PROGRAM_ADDRESS
      const to = { baseAccount: payer, destination: payer.address, fromSeed: seed, fromOwner }
      await land([getTransferSolWithSeedInstruction({ source, amount, ...to })])
    },
    async payThroughTable(mint, units, decimals) {
      const recentSlot = little(8, await rpc.getSlot({ commitment: 'confirmed' }).send())
      const [table, bump] = await getProgramDerivedAddress({
        programAddress: LOOKUP_TABLE_PROGRAM,
        seeds: [getAddressEncoder().encode(payer.address), recentSlot],
      })
      const [open, move] = (await transfer(mint, units, decimals)) as [Instruction, Instruction]
      const listed = await tokenAddress(mint, payee)
      const create = Buffer.concat([little(4, 0n), recentSlot, Buffer.of(bump)])
      const extend = Buffer.concat([little(4, 2n), little(8, 1n), Buffer.from(getAddressEncoder().encode(listed))])
      await land([create, extend].map((data) => tableInstruction(table, payer.address, data)).concat(open))
      const newest = (commitment: 'processed' | 'confirmed') => rpc.getSlot({ commitment }).send()
      // What was added can be used from the next slot on.
      for (const added = await newest('processed'); (await newest('confirmed')) <= added; );
      const short = compressTransactionMessageUsingAddressLookupTables(await message([move]), { [table]: [listed] })
      const signed = await signTransactionMessageWithSigners(short)
      await sendAndConfirm(signed as Parameters<typeof sendAndConfirm>[0], { commitment: 'confirmed' })
      return { signature: getSignatureFromTransaction(signed), table }
    },
    async tableAccount(table) {
      const { value } = await rpc
        .getAccountInfo(address(table), { encoding: 'jsonParsed', commitment: 'confirmed' })
        .send()
      if (!value || !('parsed' in value.data)) return null
      const info = value.data.parsed.info as {
        authority: string
        addresses: readonly string[]
        deactivationSlot: string
      }
      const { authority, addresses } = info
      return { authority, addresses, isActive: info.deactivationSlot === String(2n ** 64n - 1n) }
    },
    async deactivateTable(table) {
      const all = tableInstruction(address(table), payer.address, little(4, 3n))
      await land([{ ...all, accounts: all.accounts?.slice(0, 2) ?? [] }])
    },
    async allTokens(owner) {
      const { value } = await rpc
        .getTokenAccountsByOwner(
          address(owner),
          { programId: TOKEN_PROGRAM_ADDRESS },
          { encoding: 'jsonParsed', commitment: 'confirmed' },
        )
        .send()
      return value.map(({ account }) => account.data.parsed.info.mint)
    },
    async nextSlot() {
      const stop = new AbortController()
      for await (const { slot } of await rpcSubscriptions.slotNotifications().subscribe({ abortSignal: stop.signal })) {
        stop.abort()
        return slot
      }
      throw new Error('no slot was told')
    },
    balanceFrom: async (minContextSlot) =>
      (await rpc.getBalance(payer.address, { commitment: 'confirmed', minContextSlot }).send()).value,
    lamportsOf: async (of) => (await rpc.getBalance(address(of), { commitment: 'confirmed' }).send()).value,
    status: async (signature) =>
      (await rpc.getSignatureStatuses([signature as Signature], { searchTransactionHistory: true }).send()).value[0] ??
      null,
    history: (of, page) =>
      rpc.getSignaturesForAddress(address(of), { commitment: 'confirmed', ...(page as object) }).send(),
    async transaction(signature) {
      const found = await rpc
        .getTransaction(signature as Signature, {
          commitment: 'confirmed',
          encoding: 'json',
          maxSupportedTransactionVersion: 0,
        })
        .send()
      if (!found?.meta) return null
      const { preTokenBalances, postTokenBalances, fee, logMessages } = found.meta
      const of = (list: typeof preTokenBalances) =>
        BigInt(list?.find(({ owner }) => owner === payee)?.uiTokenAmount.amount ?? 0)
      return {
        fee,
        memoLogged: logMessages?.some((line) => line.includes('bramble:')) ?? false,
        tokenDelta: of(postTokenBalances) - of(preTokenBalances),
        slot: found.slot,
        loaded: Object.values(found.meta.loadedAddresses ?? {}).flat(),
        lookups: lookupsOf(found.transaction.message).map(({ accountKey, writableIndexes, readonlyIndexes }) => {
          return { table: accountKey, writable: writableIndexes, readonly: readonlyIndexes }
        }),
      }
    },
    async mintAccount(mint) {
      const { value } = await rpc.getAccountInfo(address(mint), { encoding: 'base64', commitment: 'confirmed' }).send()
      return (
        value && { owner: value.owner, space: Buffer.from(value.data[0], 'base64').length, lamports: value.lamports }
      )
    },
    async fee(mint) {
      const compiled = compileTransactionMessage(await message(await transfer(mint, 1n, 6)))
      const bytes = getBase64Decoder().decode(getCompiledTransactionMessageEncoder().encode(compiled))
      return (await rpc.getFeeForMessage(bytes as TransactionMessageBytesBase64, { commitment: 'confirmed' }).send())
        .value
    },
    async slots() {
      const { epoch, blockHeight } = await rpc.getEpochInfo({ commitment: 'processed' }).send()
      const finalized = await rpc.getSlot({ commitment: 'finalized' }).send()
      return { slot: await rpc.getSlot({ commitment: 'processed' }).send(), finalized, height: blockHeight, epoch }
    },
    async blockhashIsValid() {
      const { value } = await rpc.getLatestBlockhash({ commitment: 'confirmed' }).send()
      return (await rpc.isBlockhashValid(value.blockhash, { commitment: 'confirmed' }).send()).value
    },
    rent: (bytes) => rpc.getMinimumBalanceForRentExemption(BigInt(bytes)).send(),
    prioritizationFees: async () => (await rpc.getRecentPrioritizationFees().send()).length,
    close: async () => undefined,
  }
}
