// What the bytes of a transaction tell the chain to do, every account by its address: those that come from lookup tables as the
// chain lists them. Before a signature this must be what was meant, word for word: a wrong index would pay a stranger.
import { parseTransaction, type WireTransaction } from '../local-chain/message.ts'
import type { Instruction } from '../spl.ts'
import type { LookupTable } from './table-chain.ts'

export interface Meant {
  readonly instructions: readonly Instruction[]
  readonly feePayer: string
  readonly tables: readonly LookupTable[]
}

interface NamedAccount {
  readonly address: string
  readonly signer: boolean
  readonly writable: boolean
}

/** In the order in which the instructions count them. An index that the table does not have names nobody. */
function accountsOf({ keys, header, lookups }: WireTransaction, tables: readonly LookupTable[]): NamedAccount[] {
  const { required, readonlySigned, readonlyUnsigned } = header
  const fixed = keys.map((address, index) => {
    const signer = index < required
    const writable = signer ? index < required - readonlySigned : index < keys.length - readonlyUnsigned
    return { address, signer, writable }
  })
  const listedIn = new Map(tables.map(({ address, addresses }) => [address, addresses]))
  const picked = (writable: boolean): NamedAccount[] =>
    lookups.flatMap((lookup) =>
      lookup[writable ? 'writable' : 'readonly'].map((index) => {
        return { address: listedIn.get(lookup.table)?.[index] ?? '', signer: false, writable }
      }),
    )
  return [...fixed, ...picked(true), ...picked(false)]
}

const textOf = (account: NamedAccount | undefined): string =>
  account ? `${account.address}${account.signer ? ' signs' : ''}${account.writable ? ' written' : ''}` : 'nobody'

/** An account is written, or signs, in the whole transaction as soon as one instruction asks for it. */
function meantAccounts({ instructions, feePayer }: Meant): ReadonlyMap<string, NamedAccount> {
  const all = new Map([[feePayer, { address: feePayer, signer: true, writable: true }]])
  const add = ({ address, signer, writable }: NamedAccount): void => {
    const known = all.get(address)
    all.set(address, {
      address,
      signer: signer || (known?.signer ?? false),
      writable: writable || (known?.writable ?? false),
    })
  }
  for (const { program, accounts } of instructions) {
    add({ address: program, signer: false, writable: false })
    accounts.forEach(add)
  }
  return all
}

/** The first difference in words; undefined when there is none. Throws WireFault for bytes that are no transaction. */
export function differenceOf(wire: Uint8Array, meant: Meant): string | undefined {
  const said = parseTransaction(wire)
  const accounts = accountsOf(said, meant.tables)
  const wanted = meantAccounts(meant)
  if (accounts[0]?.address !== meant.feePayer) return `${textOf(accounts[0])} would pay the fee`
  if (accounts.length !== wanted.size) return `it names ${accounts.length} accounts, ${wanted.size} were meant`
  const wrong = accounts.find((account) => textOf(account) !== textOf(wanted.get(account.address)))
  if (wrong) return `it names ${textOf(wrong)}, which was not meant`
  if (said.instructions.length !== meant.instructions.length) return 'it has another number of instructions'
  for (const [place, { program, accounts: named, data }] of meant.instructions.entries()) {
    const one = said.instructions[place]
    const addresses = one?.accounts.map((index) => accounts[index]?.address).join() ?? ''
    const isSame = one && accounts[one.programIdIndex]?.address === program && Buffer.from(data).equals(one.data)
    if (!isSame) return `instruction ${place + 1} is another`
    if (addresses !== named.map(({ address }) => address).join())
      return `instruction ${place + 1} is for ${addresses} and not for ${named.map(({ address }) => address).join()}`
  }
  return undefined
}
