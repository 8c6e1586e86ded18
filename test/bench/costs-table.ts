// The cost of payouts as Markdown: what was measured, beside what other designs take.
import { TERMS, worthListing } from '../../console/settlement/tables/worth.ts'
import type { Costs, Measured } from './costs-measured.ts'

const BOARDS = [100, 10_000, 1_000_000] as const
/** So many boards share one wallet. */
const BOARDS_PER_OWNER = 20
const DAYS_PER_WEEK = 7
const SIGNATURE_LAMPORTS = 5_000
/** Wallets that are due together, for the example. */
const SAMPLE_WALLETS = 1_000

const whole = (value: number): string => Math.round(value).toLocaleString('en-US')
const owners = (boards: number): number => boards / BOARDS_PER_OWNER

const reclaimPerBatch = ({ reclaim }: Costs): number => reclaim.feeLamports / reclaim.markers

/** One payout of every owner, a day; each batch's marker is taken back later. */
const batched =
  (costs: Costs, { transfers, feeLamports }: Measured) =>
  (boards: number) =>
    (Math.ceil(owners(boards) / transfers) * (feeLamports + reclaimPerBatch(costs))) / owners(boards)

const weekly = (daily: (boards: number) => number) => (boards: number) => daily(boards) / DAYS_PER_WEEK

/** What the rule of the payout room says (tables/worth.ts), with what was measured. */
function verdict(costs: Costs) {
  const { table, plain, tableRentLamports, tableAddresses } = costs
  const perPayout = ({ transfers, feeLamports }: Measured) => (feeLamports + reclaimPerBatch(costs)) / transfers
  const address = costs.tableAddressRentLamports
  const asked = {
    fee: SIGNATURE_LAMPORTS,
    payout: SIGNATURE_LAMPORTS + reclaimPerBatch(costs),
    table: tableRentLamports - tableAddresses * address,
    address,
  }
  const capacities = { perPlain: plain.transfers, perTable: table.transfers }
  const isMade = (times: number, due = SAMPLE_WALLETS): boolean => {
    const occasion = { ...capacities, due, listed: 0, room: 0, times: Array.from({ length: due }, () => times) }
    return worthListing(occasion, asked, TERMS) > 0
  }
  const from = (isEnough: (value: number) => boolean): number => {
    for (let value = 1; ; value++) if (isEnough(value)) return value
  }
  const days = TERMS.periodMs / 86_400_000
  const lent = (tableRentLamports * TERMS.yieldPerYear * days) / 365
  const saved = perPayout(plain) - perPayout(table)
  return { saved, days, lent, times: from(isMade), due: from((due) => isMade(days, due)) }
}

const sizes = (costs: Costs): string[] => {
  const row = (name: string, { transfers, bytes, feeLamports }: Measured) =>
    `| ${name} | ${transfers} | ${bytes} | ${whole(feeLamports)} |`
  return [
    '| one transaction, with marker and memo | payouts | bytes | fee, lamports |',
    '| --- | ---: | ---: | ---: |',
    row('legacy, wallets that have a token account', costs.plain),
    row('legacy, token accounts made on the way', costs.withAccounts),
    row('legacy, another key pays the fee', costs.separateFeePayer),
    row('version 0 with a lookup table', costs.table),
  ]
}

const perDay = (costs: Costs): string[] => {
  const row = (name: string, lamports: (boards: number) => number) =>
    `| ${[name, ...BOARDS.map((boards) => whole(lamports(boards)))].join(' | ')} |`
  const daily = batched(costs, costs.plain)
  const rewards = BOARDS_PER_OWNER * SIGNATURE_LAMPORTS
  return [
    '| lamports per owner per day | 100 boards | 10,000 boards | 1,000,000 boards |',
    '| --- | ---: | ---: | ---: |',
    row('**Bramble, a payout a day**', daily),
    row('**Bramble, a payout a week**', weekly(daily)),
    row('**Bramble, a payout a day, through lookup tables**', batched(costs, costs.table)),
    row('one transfer per reward, one reward a board and day', () => rewards),
    row('claims as Helium: each board weekly, paid by the claimer (read)', () => rewards / DAYS_PER_WEEK),
    row('Merkle root a day, a claim a week paid by the owner (read)', (boards) => {
      return SIGNATURE_LAMPORTS / owners(boards) + SIGNATURE_LAMPORTS / DAYS_PER_WEEK
    }),
    '',
    '| a payout to one owner | fee | until it has arrived | all costs |',
    '| --- | ---: | ---: | ---: |',
    `| **Bramble, a payout a day**, 10,000 boards | ${whole(daily(BOARDS[1]))} lamports | 32 slots of 400 ms: 12.8 s | the fee |`,
    '| international bank wire (read) | $10–50 | 1–5 working days | about 6 % of the amount |',
  ]
}

/** What stands in console/settlement/README.md. */
export function costsSection(costs: Costs): string {
  const { saved, days, lent, times, due } = verdict(costs)
  return [
    ...sizes(costs),
    '',
    ...perDay(costs),
    '',
    `Base fees only, ${BOARDS_PER_OWNER} boards to a wallet. A marker's rent of ${whole(costs.markerRentLamports)} lamports is lent for its`,
    `batch and taken back later, ${costs.reclaim.markers} in a transaction (counted above). A wallet without a token account costs`,
    `${whole(costs.accountRentLamports)} lamports once.`,
    '',
    `A lookup table of ${costs.tableAddresses} accounts locks ${whole(costs.tableRentLamports)} lamports of rent, which come back, and takes`,
    `${whole(costs.tableFeesLamports)} in fees from its making to its end. It saves ${whole(saved)} lamports a payout. The rule (tables/worth.ts) takes the last ${days} days for`,
    `the next: payouts to the wallet that is paid least often in it, transactions saved each time, against the fees and what the locked lamports`,
    `would bring meanwhile (${whole(TERMS.yieldPerYear * 100)} % a year, as staked: ${whole(lent)} for a full table). So a table is made for ${whole(SAMPLE_WALLETS)} wallets that were paid ${times} times`,
    `in ${days} days or oftener (daily yes, weekly no), and for daily payouts from ${due} wallets on; it is given up when a period brought half of`,
    'its rent’s worth or less. At least 0.1 SOL stays with whoever pays the fees.',
    '',
    'Measured: built, signed and executed on the local chain (`npm run costs`). Read: Helium’s lazy distributor and the Jito',
    'distributor from their sources (their claims add an account of 1.34–1.87 million lamports, paid by the claimer: per recipient',
    'with Helium, per round with Jito); the wire from moneytransfercomparison.com (fees), vantazo.com (days) and World Bank figures',
    'quoted on el-sadda.com (share of the amount), November 2026.',
  ].join('\n')
}

const BEGIN = '<!-- npm run costs -- --write -->'
const END = '<!-- end -->'

/** The text between the marks. */
export const sectionIn = (readme: string): string => readme.split(BEGIN)[1]?.split(END)[0]?.trim() ?? ''

export const withSection = (readme: string, section: string): string =>
  `${readme.split(BEGIN)[0]}${BEGIN}\n${section}\n${END}${readme.split(END)[1] ?? ''}`
