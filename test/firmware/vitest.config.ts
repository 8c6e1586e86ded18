import { defineConfig } from 'vitest/config'

/** `npm run test:firmware`: builds both packages and runs them; needs Debian packages and root. */
export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: {
    include: ['test/firmware/**/*.check.ts'],
    globalSetup: ['test/firmware/needs.ts', 'test/firmware/built.ts'],
    // Each builds or emulates: side by side they would only wait for each other.
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 600_000,
  },
})
