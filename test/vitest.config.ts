import { defineConfig } from 'vitest/config'

/** `npm run test:slow` runs what is too long for `npm test`: overload, outages, whole programs of others. */
const slow = process.env['BRAMBLE_SLOW_TESTS'] !== undefined

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    include: slow ? ['test/slow/**/*.test.ts'] : ['test/**/*.test.ts'],
    exclude: slow ? [] : ['test/slow/**'],
    // Two workers at most: the suites start real brokers, models and chains, and a small board has two cores to spare.
    maxWorkers: slow ? 1 : 2,
    // Models that tests open in their own process report to nobody either (models/runtime/spawn.ts).
    env: { ORT_DISABLE_TELEMETRY: '1' },
    // For what hangs: several suites start real processes, which take three times as long on a busy machine.
    testTimeout: slow ? 300_000 : 90_000,
    hookTimeout: 60_000,
  },
})
