import { basename } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The emulated board takes as long as all the others, which come one after the other beside it: first what needs no image. */
const ORDER = ['boot', 'update', 'packages', 'board', 'first-boot', 'customize', 'boot-wifi', 'boot-pi']

class InOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => ORDER.indexOf(basename(moduleId, '.check.ts'))
    return files.toSorted((a, b) => place(a) - place(b))
  }
}

/** `npm run test:firmware`: builds both packages and runs them; needs Debian packages and root. */
export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: {
    include: ['test/firmware/**/*.check.ts'],
    globalSetup: ['test/firmware/needs.ts', 'test/firmware/built.ts'],
    // No more on two cores: containers and emulated boards have watchdogs.
    maxWorkers: 2,
    sequence: { sequencer: InOrder },
    testTimeout: 300_000,
    // A check may wait for its turn.
    hookTimeout: 900_000,
  },
})
