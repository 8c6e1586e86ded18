// The order of the test files: the longest first, so that none begins when all others are done and a core would stand still until
// its end. vitest knows how long they took last time; in a fresh clone it only knows their sizes, and these say little.
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** More than six seconds each, as measured, the longest first. */
const LONG = `
  settlement/crash-matrix ui/page faults/kill rewards/histories console/start firmware/launch console/funding-cli
  console/rewards-cli console/up agent/software-agent software/software-cli agent/overload settlement/tables models/host
  faults/wire ui/add-board faults/external-broker models/host-processes agent/software-crash agent/cli
`
  .trim()
  .split(/\s+/)

const rank = ({ moduleId }: TestSpecification): number => {
  const at = LONG.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
  return at < 0 ? LONG.length : at
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => rank(a) - rank(b))
  }
}
