// A whole local chain in this process: real LiteSVM, real JSON-RPC text, an unmodified web3.js Connection on top, but no
// sockets, and a clock that only moves when told. Faults are put where the network would be.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Keypair, PublicKey, SystemProgram, Transaction, TransactionInstruction } from '@solana/web3.js'
import { pino } from 'pino'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import { type ChainKey, publicKeyOf, readOrCreateKeyFile } from '../../console/settlement/keys.ts'
import { type Chain, openChain } from '../../console/settlement/local-chain/chain.ts'
import { createRpc } from '../../console/settlement/local-chain/start.ts'
import { createSolana, type Solana, type Token } from '../../console/settlement/solana.ts'
import { associatedAddress, instructionOf } from '../../console/settlement/solana-connection.ts'
import * as spl from '../../console/settlement/spl.ts'

/** More than any test pays; a lab has a thousand times as many. */
const TREASURY_UNITS = 10n ** 12n

export const silent = pino({ level: 'silent' })

export interface Clock {
  now: () => number
  advance(ms: number): void
}
export const createClock = (startMs = 1_790_000_000_000): Clock => {
  let at = startMs
  return {
    now: () => at,
    advance: (ms) => {
      at += Math.floor(ms)
    },
  }
}

/** What the network does with one RPC call: `forward` runs it on the chain. */
export type Wire = (method: string, body: string, forward: () => string) => Promise<string>

export interface Lab {
  readonly folder: string
  readonly clock: Clock
  readonly chain: Chain
  readonly treasury: ChainKey
  readonly solana: Solana
  /** Another client of the same chain, its network played by `wire`; with a treasury of its own where one is named. */
  client(wire: Wire, treasury?: ChainKey, feePayer?: ChainKey): Solana
  /** A raw JSON-RPC call. */
  call(
    method: string,
    ...params: unknown[]
  ): { result?: unknown; error?: { code: number; message: string; data?: unknown } }
  text(body: string): string | undefined
  /** Straight to the chain, signed by these; the first pays. */
  submit(instructions: readonly TransactionInstruction[], signers: readonly Keypair[]): string
  makeToken(supply?: bigint): Promise<Token>
  /** Makes a wallet's token account where it is missing; its owner bears the rent. */
  openAccount(token: Token, wallet: string): void
  /** Freezes or thaws a wallet's token account, made where it is missing. */
  freeze(token: Token, wallet: string, isFrozen: boolean): void
  /** A new key with SOL and some of the lab's tokens: a treasury without a past. */
  makeTreasury(token: Token): Promise<ChainKey>
  close(): void
}

export async function createLab(options: { slotMs?: number; startMs?: number } = {}): Promise<Lab> {
  // In memory where the system offers it: thousands of flushes to a shared disk would be most of the time.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'bramble-lab-'))
  const clock = createClock(options.startMs)
  const chain = openChain({ folder: join(folder, 'chain'), now: clock.now, log: silent, slotMs: options.slotMs ?? 400 })
  const rpc = createRpc(chain, silent)
  const treasury = await readOrCreateKeyFile(join(folder, 'treasury.json'))
  const forwarded = (body: string): string => rpc(body) ?? ''
  const client = (wire: Wire, key = treasury, feePayer?: ChainKey): Solana =>
    createSolana({
      rpcUrl: 'http://lab.invalid',
      treasury: key,
      ...(feePayer && { feePayer }),
      sleep: async (ms) => clock.advance(ms),
      fetch: async (_url, init) => {
        const body = String(init?.body)
        return new Response(await wire(JSON.parse(body).method, body, () => forwarded(body)))
      },
    })
  const solana = client(async (_method, _body, forward) => forward())
  const authority = Keypair.fromSecretKey(treasury.secretKey)
  let submitted = 0
  const submit = (instructions: readonly TransactionInstruction[], signers: readonly Keypair[]): string => {
    const blockhash = chain.clock.blockhash(chain.clock.slot())
    const transaction = new Transaction({ feePayer: signers[0]!.publicKey, blockhash, lastValidBlockHeight: 0 })
    // Two that are alike would be one.
    transaction.add(...instructions, instructionOf(spl.memo(`lab ${++submitted}`))).sign(...signers)
    return chain.submit(transaction.serialize())
  }
  return {
    folder,
    clock,
    chain,
    treasury,
    solana,
    client,
    text: (body) => rpc(body),
    call: (method, ...params) => JSON.parse(forwarded(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))),
    submit,
    async makeToken(supply = 10n ** 17n) {
      const token = { mint: Keypair.generate(), decimals: 6 }
      const mint = token.mint.publicKey
      await solana.airdrop(solana.treasury, 1_000_000_000_000)
      const create = SystemProgram.createAccount({
        fromPubkey: authority.publicKey,
        newAccountPubkey: mint,
        lamports: Number(chain.rentExempt(spl.MINT_BYTES)),
        space: spl.MINT_BYTES,
        programId: new PublicKey(spl.TOKEN_PROGRAM),
      })
      const bare = spl.initializeMint2(mint.toBase58(), token.decimals, authority.publicKey.toBytes())
      // As the issuers of stable coins have it: somebody may freeze accounts.
      const data = Buffer.concat([bare.data.subarray(0, -1), Buffer.of(1), authority.publicKey.toBytes()])
      submit([create, instructionOf({ ...bare, data })], [authority, token.mint])
      await solana.mintTo({ mint: mint.toBase58(), decimals: token.decimals }, supply)
      return { mint: mint.toBase58(), decimals: token.decimals }
    },
    openAccount({ mint }, owner) {
      const account = associatedAddress(mint, owner)
      const payer = authority.publicKey.toBase58()
      submit([instructionOf(spl.createAssociatedIdempotent({ payer, account, owner, mint }))], [authority])
    },
    freeze({ mint }, wallet, isFrozen) {
      const account = associatedAddress(mint, wallet)
      const [payer, owner] = [authority.publicKey.toBase58(), wallet]
      const keys = [account, mint, payer].map((address, index) => ({
        pubkey: new PublicKey(address),
        isSigner: index === 2,
        isWritable: index === 0,
      }))
      const programId = new PublicKey(spl.TOKEN_PROGRAM)
      // FreezeAccount is 10, ThawAccount 11; either fails where nothing changes.
      const change = new TransactionInstruction({ programId, keys, data: Buffer.of(isFrozen ? 10 : 11) })
      submit([instructionOf(spl.createAssociatedIdempotent({ payer, account, owner, mint })), change], [authority])
    },
    async makeTreasury(token) {
      const seed = randomBytes(32)
      const publicKey = publicKeyOf(seed)
      const key = { address: encodeBase58(publicKey), secretKey: Buffer.concat([seed, publicKey]) }
      await solana.airdrop(key.address, 100_000_000_000)
      const payer = solana.payer(token)
      const lines = [{ wallet: key.address, units: TREASURY_UNITS }]
      const payment = { id: key.address, memo: key.address, marker: null, lines }
      await payer.send(payer.sign(payment, new Set([key.address]), await payer.lifetime()).wire)
      return key
    },
    close() {
      chain.close()
      rmSync(folder, { recursive: true })
    },
  }
}
