// `npm run simulate:payouts -- --seeds N [--json] [--seed S]`: histories of the payout engine with crashes, a faulty network,
// two consoles and databases from backups, judged by what the wallets hold in the end; and the naive engine as a control.
import { parseArgs } from 'node:util'
import { faultsOf, simulate } from './run.ts'

const TELL_EVERY = 25

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1000' }, seed: { type: 'string' }, json: { type: 'boolean' } },
})
const only = values.seed === undefined ? undefined : Number(values.seed)
const seeds = only === undefined ? Array.from({ length: Number(values.seeds) }, (_, index) => index + 1) : [only]
if (seeds.some((seed) => !Number.isSafeInteger(seed)) || seeds.length === 0) {
  process.stderr.write('--seeds and --seed take whole numbers\n')
  process.exit(2)
}

const tell = (line: string): void => {
  if (!values.json) process.stdout.write(process.stdout.isTTY ? `\r${line}` : `${line}\n`)
}

const total = await simulate(seeds, {
  heard({ histories, crashes, overpaid, underpaid, stuck }, { seed, unsound }) {
    for (const sentence of unsound) process.stderr.write(`seed ${seed}: ${sentence}\n`)
    if (histories % TELL_EVERY !== 0) return
    const bad = `${overpaid} overpaid, ${underpaid} underpaid, ${stuck} stuck`
    tell(`${histories} of ${seeds.length} histories, ${crashes} crashes: ${bad}`)
  },
})
const { bad, ...figures } = total
if (values.json) process.stdout.write(`${JSON.stringify(figures)}\n`)
else tell(`\n${JSON.stringify(figures)}\n`)
if (bad.length > 0) process.stderr.write(`seeds to look at: ${bad.join(', ')}\n`)
const faults = faultsOf(total)
for (const fault of faults) process.stderr.write(`${fault}\n`)
process.exitCode = faults.length > 0 ? 1 : 0
