// `npm run costs [-- --write | --json]`: what payouts cost, measured on the local chain; `--write` puts it into the README beside
// the payout room.
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { measureCosts } from './costs-measured.ts'
import { costsSection, withSection } from './costs-table.ts'

const README = new URL('../../console/settlement/README.md', import.meta.url)

const { values } = parseArgs({ options: { write: { type: 'boolean' }, json: { type: 'boolean' } } })
const costs = await measureCosts()
const section = costsSection(costs)
if (values.write) await writeFile(README, withSection(await readFile(README, 'utf8'), section))
process.stdout.write(`${values.json ? JSON.stringify(costs) : section}\n`)
