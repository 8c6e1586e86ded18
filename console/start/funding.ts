// Where money comes in and where it may go: deposits, allowances, registered wallets.
import type { Config } from '../config.ts'
import type { Events } from '../events.ts'
import { createAllowances } from '../settlement/deposits/allowances.ts'
import { createDeposits } from '../settlement/deposits.ts'
import { type Solana, type Token, walletFault } from '../settlement/solana.ts'
import type { Store } from '../store/open.ts'
import { createRegistration } from '../wallets/registration.ts'
import type { Surroundings } from './surroundings.ts'

/** A public RPC is asked as seldom as people will bear; the local chain costs nothing. */
const LOOK_EVERY_MS = { local: 2_000, devnet: 20_000, 'mainnet-beta': 20_000 } as const
const CHAIN_IDS = { local: 'localnet', devnet: 'devnet', 'mainnet-beta': 'mainnet' } as const

export interface FundingOptions {
  readonly config: Config
  readonly store: Store
  readonly events: Pick<Events, 'emit'>
  readonly solana: Solana
  readonly token: Token
}

export function openFunding({ config, store, events, solana, token }: FundingOptions, surroundings: Surroundings) {
  const { now, log, randomBytes, sleep } = surroundings
  const { db } = store
  const chain = solana.deposits(token)
  const deposits = createDeposits({
    db,
    chain,
    mint: token.mint,
    minimumUnits: config.minimumDepositUnits,
    everyMs: LOOK_EVERY_MS[config.cluster],
    now,
    credited: () => events.emit({ about: 'rewards' }),
    log: log.child({ part: 'deposits' }),
    sleep: (ms, { signal }) => sleep(ms, signal),
  })
  const allowances = createAllowances({
    db,
    chain,
    addressOf: deposits.addressOf,
    readDeposits: deposits.read,
    now,
    log: log.child({ part: 'allowances' }),
  })
  const registration = createRegistration({
    db,
    now,
    randomBytes,
    chainId: CHAIN_IDS[config.cluster],
    faultOf: async (address) => walletFault(address) ?? (await chain.accountFault(address)),
  })
  return { chain, deposits, allowances, registration }
}
export type Funding = ReturnType<typeof openFunding>
