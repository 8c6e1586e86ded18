// Somebody's wallet with tokens in it, as any wallet program would use it: transfers, approvals, revocations.
import { Keypair, PublicKey, SystemProgram, Transaction, TransactionInstruction } from '@solana/web3.js'
import { encodeBase58 } from '../../console/settlement/base58.ts'
import type { Solana, Token } from '../../console/settlement/solana.ts'
import { associatedAddress, instructionOf } from '../../console/settlement/solana-connection.ts'
import * as spl from '../../console/settlement/spl.ts'
import type { Lab } from './lab.ts'

export interface Wallet {
  readonly address: string
  /** Its token account. */
  readonly account: string
  readonly key: Keypair
  pay(to: string, units: bigint, of?: Token): Promise<void>
  /** Lets `delegate` draw so much (ApproveChecked). */
  approve(delegate: string, units: bigint): Promise<void>
  revoke(): Promise<void>
  /** A memo, in a transaction that names somebody else's address; answers its signature. */
  write(memo: string, address: string): Promise<string>
  /** Another mint, all of it in this wallet. */
  makeOtherToken(supply?: bigint): Promise<Token>
}

/** Tag 13: ApproveChecked; 5: Revoke (SPL Token's own layouts). */
export const approveChecked = (
  account: string,
  mint: string,
  delegate: string,
  owner: string,
  units: bigint,
  decimals: number,
) => {
  const data = Buffer.alloc(10)
  data.writeUInt8(13, 0)
  data.writeBigUInt64LE(units, 1)
  data.writeUInt8(decimals, 9)
  return new TransactionInstruction({
    programId: new PublicKey(spl.TOKEN_PROGRAM),
    keys: [
      { pubkey: new PublicKey(account), isSigner: false, isWritable: true },
      { pubkey: new PublicKey(mint), isSigner: false, isWritable: false },
      { pubkey: new PublicKey(delegate), isSigner: false, isWritable: false },
      { pubkey: new PublicKey(owner), isSigner: true, isWritable: false },
    ],
    data,
  })
}
const revoke = (account: string, owner: string) =>
  new TransactionInstruction({
    programId: new PublicKey(spl.TOKEN_PROGRAM),
    keys: [
      { pubkey: new PublicKey(account), isSigner: false, isWritable: true },
      { pubkey: new PublicKey(owner), isSigner: true, isWritable: false },
    ],
    data: Buffer.from([5]),
  })

export async function createWallet(lab: Lab, token: Token, units: bigint): Promise<Wallet> {
  const key = Keypair.generate()
  const address = key.publicKey.toBase58()
  const account = associatedAddress(token.mint, address)
  await lab.solana.airdrop(address, 10_000_000_000)
  const own: Solana = lab.client(async (_method, _body, forward) => forward(), { address, secretKey: key.secretKey })
  const treasury = lab.solana.payer(token)
  const lines = [{ wallet: address, units }]
  const gift = { id: address, memo: address, marker: null, lines }
  await treasury.send(treasury.sign(gift, new Set([address]), await treasury.lifetime()).wire)

  async function run(...instructions: readonly TransactionInstruction[]): Promise<string> {
    const transaction = new Transaction({ feePayer: key.publicKey, ...(await treasury.lifetime()) }).add(
      ...instructions,
    )
    transaction.sign(key)
    await treasury.send(transaction.serialize())
    return encodeBase58(transaction.signature ?? new Uint8Array())
  }
  let paid = 0
  return {
    address,
    account,
    key,
    async pay(to, amount, { mint, decimals } = token) {
      paid += 1
      const [from, target] = [associatedAddress(mint, address), associatedAddress(mint, to)]
      await run(
        ...[
          spl.createAssociatedIdempotent({ payer: address, account: target, owner: to, mint }),
          spl.transferChecked({ from, mint, to: target, authority: address, units: amount, decimals }),
          // Or two equal payments on one blockhash would be one transaction.
          spl.memo(`payment ${paid}`),
        ].map(instructionOf),
      )
    },
    async approve(delegate, amount) {
      await run(approveChecked(account, token.mint, delegate, address, amount, token.decimals))
    },
    async revoke() {
      await run(revoke(account, address))
    },
    write(memo, to) {
      const toPubkey = new PublicKey(to)
      const gift = SystemProgram.transfer({ fromPubkey: key.publicKey, toPubkey, lamports: 1 })
      return run(gift, instructionOf(spl.memo(memo)))
    },
    async makeOtherToken(supply = 1_000_000n) {
      const mint = Keypair.generate()
      const other = encodeBase58(mint.publicKey.toBytes())
      await own.createMint({ address: other, secretKey: mint.secretKey }, 6, supply)
      return { mint: other, decimals: 6 }
    },
  }
}
