// `npm run simulate:payouts -- --seeds N [--json] [--seed S]`: histories of the payout engine with crashes, a faulty network,
// two consoles and databases from backups, judged by what the wallets hold in the end; and the naive engine as a control.
import { parseArgs } from 'node:util'
import { historyOf, NAIVE_FAULTS, play, playNaively } from '../settlement/histories.ts'

const TELL_EVERY = 25
/** Enough for the control to be no accident. */
const NAIVE_SHARE = 10

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1000' }, seed: { type: 'string' }, json: { type: 'boolean' } },
})
const only = values.seed === undefined ? undefined : Number(values.seed)
const seeds = only === undefined ? Array.from({ length: Number(values.seeds) }, (_, index) => index + 1) : [only]
if (seeds.some((seed) => !Number.isSafeInteger(seed)) || seeds.length === 0) {
  process.stderr.write('--seeds and --seed take whole numbers\n')
  process.exit(2)
}

const total = {
  histories: 0,
  crashes: 0,
  restored: 0,
  overpaid: 0,
  underpaid: 0,
  stuck: 0,
  through: 0,
  lostTables: 0,
  naive: { histories: 0, overpaid: 0 },
}
const bad: number[] = []

const tell = (line: string): void => {
  if (!values.json) process.stdout.write(process.stdout.isTTY ? `\r${line}` : `${line}\n`)
}

async function run(seed: number): Promise<void> {
  const { verdict, restored, turns, through, lostTables } = await play(historyOf(seed))
  total.histories++
  total.crashes += verdict.crashes
  total.restored += restored
  total.overpaid += verdict.overpaid
  total.underpaid += verdict.underpaid
  total.stuck += verdict.stuck
  total.through += through
  total.lostTables += lostTables
  if (verdict.overpaid + verdict.underpaid + verdict.stuck + lostTables > 0) bad.push(seed)
  if (only !== undefined) tell(`${JSON.stringify({ seed, turns, restored, through, lostTables, ...verdict })}\n`)
}

for (const seed of seeds) {
  await run(seed)
  if (seed % NAIVE_SHARE === 0) {
    total.naive.histories++
    total.naive.overpaid += (await playNaively(seed, NAIVE_FAULTS)).overpaid
  }
  const { histories, crashes, overpaid, underpaid, stuck } = total
  if (histories % TELL_EVERY === 0)
    tell(
      `${histories} of ${seeds.length} histories, ${crashes} crashes: ${overpaid} overpaid, ${underpaid} underpaid, ${stuck} stuck`,
    )
}

if (values.json) process.stdout.write(`${JSON.stringify(total)}\n`)
else tell(`\n${JSON.stringify(total)}\n`)
if (bad.length > 0) process.stderr.write(`seeds to look at: ${bad.join(', ')}\n`)
process.exitCode = bad.length > 0 ? 1 : 0
