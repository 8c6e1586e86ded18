// The cost table that is printed in the documents is the one that the transactions of today give.
import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { measureCosts } from '../bench/costs-measured.ts'
import { costsSection, sectionIn } from '../bench/costs-table.ts'

it('is what real transactions on the local chain cost', async () => {
  const readme = await readFile(new URL('../../console/settlement/README.md', import.meta.url), 'utf8')
  const costs = await measureCosts()
  expect(sectionIn(readme)).toBe(costsSection(costs))
  // Nothing that is sent is larger than a packet, and batching pays.
  expect(Math.max(costs.plain.bytes, costs.withAccounts.bytes, costs.table.bytes)).toBeLessThanOrEqual(1_232)
  expect(costs.plain.transfers).toBeGreaterThan(costs.withAccounts.transfers)
})
