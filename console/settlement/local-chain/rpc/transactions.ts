// RPC methods that send, simulate and price transactions.
import { z } from 'zod'
import { decodeBase58 } from '../../base58.ts'
import type { Chain, Simulation } from '../chain.ts'
import { BLOCKHASH_WINDOW } from '../clock.ts'
import { parseTransaction, WireFault, type WireTransaction } from '../message.ts'
import { RpcFault } from '../rpc-fault.ts'
import { accountView } from './accounts.ts'
import { AccountEncoding, Address, Commitment, Context, config, contextOf, method, type RpcMethods } from './params.ts'

const WireEncoding = z.enum(['base58', 'base64']).default('base58')
const SendConfig = z.looseObject({
  encoding: WireEncoding,
  skipPreflight: z.boolean().default(false),
  preflightCommitment: Commitment.optional(),
  maxRetries: z.int().min(0).optional(),
})
const SimulateConfig = Context.extend({
  encoding: WireEncoding,
  sigVerify: z.boolean().default(false),
  replaceRecentBlockhash: z.boolean().default(false),
  innerInstructions: z.boolean().default(false),
  accounts: z.looseObject({ addresses: z.array(Address).max(64), encoding: AccountEncoding.optional() }).optional(),
})

const wireOf = (text: string, encoding: 'base58' | 'base64'): Uint8Array => {
  const bytes = encoding === 'base64' ? Buffer.from(text, 'base64') : decodeBase58(text)
  if (!bytes) throw new RpcFault('invalidParams', 'invalid base58 encoding')
  return bytes
}

const LAMPORTS_PER_SIGNATURE = 5_000
const COMPUTE_BUDGET_PROGRAM = 'ComputeBudget111111111111111111111111111111'
const DEFAULT_UNITS_PER_INSTRUCTION = 200_000
const MAX_UNITS = 1_400_000
const SET_UNIT_LIMIT = 2
const SET_UNIT_PRICE = 3

/** Base fee plus the priority fee that the transaction's own compute budget instructions ask for. */
export function feeOf({
  header,
  instructions,
  keys,
}: Pick<WireTransaction, 'header' | 'instructions' | 'keys'>): number {
  const isBudget = (index: number): boolean => keys[index] === COMPUTE_BUDGET_PROGRAM
  const others = instructions.filter(({ programIdIndex }) => !isBudget(programIdIndex)).length
  let units = Math.min(others * DEFAULT_UNITS_PER_INSTRUCTION, MAX_UNITS)
  let microLamports = 0n
  for (const { programIdIndex, data } of instructions) {
    if (!isBudget(programIdIndex)) continue
    const bytes = Buffer.from(data)
    if (data[0] === SET_UNIT_LIMIT && data.length === 5) units = bytes.readUInt32LE(1)
    if (data[0] === SET_UNIT_PRICE && data.length === 9) microLamports = bytes.readBigUInt64LE(1)
  }
  const priority = (microLamports * BigInt(Math.min(units, MAX_UNITS)) + 999_999n) / 1_000_000n
  return header.required * LAMPORTS_PER_SIGNATURE + Number(priority)
}

/** A message is priced as the transaction it will be: with as many (empty) signatures as it asks for. */
const transactionOf = (message: Uint8Array): WireTransaction => {
  const versioned = ((message[0] ?? 0) & 0x80) !== 0
  const required = message[versioned ? 1 : 0] ?? 0
  try {
    return parseTransaction(Buffer.concat([Buffer.from([required]), Buffer.alloc(64 * required), message]))
  } catch (error) {
    if (!(error instanceof WireFault)) throw error
    throw new RpcFault('invalidParams', `failed to deserialize message: ${error.message}`)
  }
}

export function transactionMethods(chain: Chain): RpcMethods {
  return {
    sendTransaction: method([z.string(), config(SendConfig)], (text, { encoding, skipPreflight }) =>
      chain.submit(wireOf(text, encoding), { skipPreflight }),
    ),
    requestAirdrop: method([Address, z.int().min(1), config(Context)], (address, lamports) =>
      chain.airdrop(address, BigInt(lamports)),
    ),
    simulateTransaction: method([z.string(), config(SimulateConfig)], (text, at) => {
      if (at.sigVerify && at.replaceRecentBlockhash)
        throw new RpcFault('invalidParams', 'sigVerify may not be used with replaceRecentBlockhash')
      const options = { verify: at.sigVerify, anyBlockhash: at.replaceRecentBlockhash }
      const result = chain.simulate(wireOf(text, at.encoding), options)
      return { context: contextOf(chain, at), value: simulationView(chain, result, at) }
    }),
    getFeeForMessage: method([z.string(), config(Context)], (text, at) => {
      const message = transactionOf(Buffer.from(text, 'base64'))
      const known = chain.clock.slotOf(message.blockhash) !== undefined
      return { context: contextOf(chain, at), value: known ? feeOf(message) : null }
    }),
  }
}

function simulationView(chain: Chain, result: Simulation, at: z.infer<typeof SimulateConfig>) {
  const accounts = at.accounts?.addresses.map((address) => {
    const account = result.accounts.get(address) ?? chain.account(address)
    return account ? accountView(chain, account, { encoding: at.accounts?.encoding ?? 'base64' }) : null
  })
  const slot = chain.clock.slot(at.commitment)
  return {
    err: result.err,
    logs: result.logs,
    accounts: accounts ?? null,
    unitsConsumed: result.units,
    returnData: result.returnData,
    innerInstructions: at.innerInstructions ? result.inner : null,
    loadedAccountsDataSize: 0,
    replacementBlockhash: at.replaceRecentBlockhash
      ? { blockhash: chain.clock.blockhash(slot), lastValidBlockHeight: slot + BLOCKHASH_WINDOW }
      : null,
  }
}
