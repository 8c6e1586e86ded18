// RPC methods about the node, its slots and its blockhashes.
import { z } from 'zod'
import type { Chain } from '../chain.ts'
import { BLOCKHASH_WINDOW } from '../clock.ts'
import { SLOTS_PER_EPOCH } from '../svm.ts'
import { Address, API_VERSION, Blockhash, Context, config, contextOf, method, type RpcMethods } from './params.ts'

export function blockMethods(chain: Chain): RpcMethods {
  const context = config(Context)
  return {
    getHealth: method([], () => 'ok'),
    getVersion: method([], () => ({ 'solana-core': API_VERSION, 'feature-set': 0 })),
    getGenesisHash: method([], () => chain.genesisHash),
    getSlot: method([context], (at) => contextOf(chain, at).slot),
    getBlockHeight: method([context], (at) => contextOf(chain, at).slot),
    getTransactionCount: method([context], () => chain.transactionCount()),
    getEpochInfo: method([context], (at) => {
      const { slot } = contextOf(chain, at)
      return {
        absoluteSlot: slot,
        blockHeight: slot,
        epoch: Math.floor(slot / SLOTS_PER_EPOCH),
        slotIndex: slot % SLOTS_PER_EPOCH,
        slotsInEpoch: SLOTS_PER_EPOCH,
        transactionCount: chain.transactionCount(),
      }
    }),
    getLatestBlockhash: method([context], (at) => {
      const { slot } = contextOf(chain, at)
      const value = { blockhash: chain.clock.blockhash(slot), lastValidBlockHeight: slot + BLOCKHASH_WINDOW }
      return { context: contextOf(chain, at), value }
    }),
    isBlockhashValid: method([Blockhash, context], (blockhash, at) => {
      const { slot } = contextOf(chain, at)
      const made = chain.clock.slotOf(blockhash)
      return { context: contextOf(chain, at), value: made !== undefined && made <= slot }
    }),
    getMinimumBalanceForRentExemption: method([z.int().min(0).max(10_485_760), context], (bytes) =>
      chain.rentExempt(bytes),
    ),
    getRecentPrioritizationFees: method([z.array(Address).max(128).optional()], () => {
      const newest = chain.clock.slot()
      const slots = Array.from({ length: Math.min(BLOCKHASH_WINDOW, newest + 1) }, (_, back) => newest - back)
      return slots.reverse().map((slot) => ({ slot, prioritizationFee: 0 }))
    }),
  }
}
