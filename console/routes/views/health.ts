// The sentence on top of the page: the worst thing that is true now, with its number and what to do about it; then the others.
import type { IdleReason, VitalFlag } from '../../../broker/protocol/messages.ts'
import type { Device, Overview, Rewards, WalletChangeView } from '../shapes.ts'
import { inTokens } from './tokens.ts'

export interface Refused {
  /** `id@version` */
  readonly model: string
  readonly boards: number
  readonly reason: string
}

export interface HealthFacts {
  readonly connected: boolean
  readonly broker: string
  readonly lost: number
  readonly waiting: number
  readonly boards: readonly Pick<Device, 'name' | 'state' | 'reason' | 'idle' | 'flags' | 'notice' | 'provider'>[]
  readonly failedPayouts: number
  /** Versions that boards should serve and refuse, and how many do. */
  readonly refused: readonly Refused[]
  /** A rollout of the agent that stopped by itself. */
  readonly stopped?: { readonly version: string; readonly reason: string } | undefined
  /** Asked for without the word of the wallet that is paid now. */
  readonly walletChanges: readonly WalletChangeView[]
  readonly token: Overview['token']
  readonly treasury: Rewards['treasury']
  readonly chainAnswers: boolean
  /** Why money waits. */
  readonly troubles: readonly string[]
}

type Health = Omit<Overview['health'], 'more'>
type Rule = (facts: HealthFacts) => Health | undefined

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`
/** An idle board with another reason than these cannot work. */
const WAITS: ReadonlySet<IdleReason> = new Set(['no-work', 'starting'])

/** Those that cost answers or the card; what the others mean stands on the Devices page. */
const AILMENTS: Partial<Readonly<Record<VitalFlag, string>>> = {
  'under-voltage': 'its supply voltage drops too low',
  throttled: 'its firmware slows it',
  'disk-full': 'its disk has almost no room',
  'disk-read-only': 'its disk takes no writes',
}

const absent = (facts: HealthFacts) => facts.boards.filter(({ state }) => state === 'offline' || state === 'late')
const problem = (sentence: string): Health => ({ level: 'problem', sentence })
const attention = (sentence: string): Health => ({ level: 'attention', sentence })

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

/** Worst first: the first that speaks is the sentence, the others stand below it. */
const RULES: readonly Rule[] = [
  ({ lost }) =>
    lost === 0
      ? undefined
      : problem(
          `${count(lost, 'accepted task was', 'accepted tasks were')} never answered: that is a fault of the console; its log names them.`,
        ),
  ({ connected, broker }) =>
    connected
      ? undefined
      : problem(`The console is not connected to the broker at ${broker}: no frame comes in until it is.`),
  ({ treasury, token }) =>
    treasury.coverage === undefined || treasury.coverage >= 1
      ? undefined
      : problem(
          `The treasury holds ${inTokens(treasury.balance ?? '0', token)} and owes ${inTokens(treasury.liabilities, token)}: send the rest to ${treasury.address}.`,
        ),
  ({ troubles: [first] }) => (first === undefined ? undefined : problem(sentence(first))),
  ({ failedPayouts }) =>
    failedPayouts === 0
      ? undefined
      : problem(
          `${count(failedPayouts, 'payout', 'payouts')} failed today; the money went back to its owners. Earnings tells why.`,
        ),
  ({ walletChanges: [first] }) =>
    first &&
    attention(
      `From ${first.effectiveAt.slice(0, 16).replace('T', ' ')} UTC on, ${first.payee} is paid at ${first.address}, and its present wallet has not agreed: whoever did not ask for this stops it on the Earnings page.`,
    ),
  ({ boards }) =>
    boards.length > 0
      ? undefined
      : attention('No board is enrolled: make a token on the Devices page and run its line on a board.'),
  (facts) => {
    const gone = absent(facts)
    const [first] = gone
    if (first === undefined) return undefined
    if (gone.length === facts.boards.length)
      return problem(`No board can be reached; ${facts.waiting} tasks wait. ${first.name}: ${first.reason}`)
    return attention(
      `${gone.length} of ${count(facts.boards.length, 'board', 'boards')} cannot be reached. ${first.name}: ${first.reason}`,
    )
  },
  ({ boards }) => {
    const hindered = boards.filter(({ idle }) => idle !== undefined && !WAITS.has(idle))
    const [first] = hindered
    return (
      first &&
      attention(
        `${hindered.length} of ${count(boards.length, 'board', 'boards')} cannot work. ${first.name}: ${first.reason}`,
      )
    )
  },
  ({ boards }) => {
    const ailing = boards.flatMap(({ name, flags = [] }) => {
      const words = flags.flatMap((flag) => AILMENTS[flag] ?? [])
      return words.length === 0 ? [] : [{ name, words: words.join(', ') }]
    })
    const [first] = ailing
    return (
      first &&
      attention(
        `${count(ailing.length, 'board is', 'boards are')} not well. ${first.name}: ${first.words}. Its page says what to do.`,
      )
    )
  },
  ({ boards }) => {
    const noticed = boards.flatMap(({ name, notice }) => (notice === undefined ? [] : [{ name, notice }]))
    const [first] = noticed
    return (
      first &&
      attention(`${count(noticed.length, 'board has', 'boards have')} a notice for you. ${first.name}: ${first.notice}`)
    )
  },
  ({ stopped }) =>
    stopped &&
    attention(`The rollout of agent ${stopped.version} stopped: ${stopped.reason}. Devices shows the way on and back.`),
  ({ refused: [first] }) =>
    first &&
    attention(
      `${count(first.boards, 'board refuses', 'boards refuse')} ${first.model} and ${first.boards === 1 ? 'goes' : 'go'} on with the version before: ${first.reason}. Models shows the way back.`,
    ),
  ({ boards }) => {
    // A GPU that nobody asked for is told of on the Devices page: a laptop may have one for other things.
    const passedOver = boards.flatMap(({ name, provider }) =>
      provider?.wanted === undefined ? [] : [{ name, ...provider }],
    )
    const [first] = passedOver
    if (first === undefined) return undefined
    const { name, wanted, used, reason } = first
    const boardsRun = count(passedOver.length, 'board runs its models', 'boards run their models')
    return attention(
      `${boardsRun} on ${used}, not on ${wanted} as wanted. ${name}${reason === undefined ? '' : `: ${reason}`}.`,
    )
  },
  ({ chainAnswers }) =>
    chainAnswers ? undefined : attention('The chain does not answer: payouts wait until it does.'),
]

export function healthOf(facts: HealthFacts): Overview['health'] {
  const [worst, ...others] = RULES.flatMap((rule) => rule(facts) ?? [])
  if (worst !== undefined) return { ...worst, more: others.map(({ sentence: told }) => told) }
  const working = facts.boards.filter(({ state }) => state === 'working').length
  return {
    level: 'ok',
    sentence: `${count(facts.boards.length, 'board', 'boards')} online, ${working} at work; nothing is lost and every payout went through.`,
    more: [],
  }
}
