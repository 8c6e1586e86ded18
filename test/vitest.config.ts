import { defineConfig } from 'vitest/config'
import { LongestFirst } from './longest-first.ts'

/** `npm run test:slow` runs what is too long for `npm test`: overload, outages, whole programs of others. */
const slow = process.env['BRAMBLE_SLOW_TESTS'] !== undefined

// The suites start some hundred processes of ours, which need not compile the same sources again; workers get it from here, too.
process.env['NODE_COMPILE_CACHE'] ??= new URL('../node_modules/.cache/node', import.meta.url).pathname

/**
 * Their files fake no timers, signals or variables and leave nothing behind, so they share a process: to start one for each
 * and to read the same modules again takes longer than many of them run.
 */
const SHARED = ['test/{market,rewards,settlement,software,store}/**/*.test.ts', 'test/broker/protocol/**/*.test.ts']

const project = (name: string, isolate: boolean, include: string[], exclude: string[] = []) => ({
  extends: true as const,
  test: { name, isolate, include, exclude },
})

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    projects: slow
      ? [project('slow', true, ['test/slow/**/*.test.ts'])]
      : [project('apart', true, ['test/**/*.test.ts'], ['test/slow/**', ...SHARED]), project('shared', false, SHARED)],
    // Two workers at most: the suites start real brokers, models and chains, and a small board has two cores to spare.
    maxWorkers: slow ? 1 : 2,
    sequence: { sequencer: LongestFirst },
    env: {
      // Models that tests open in their own process report to nobody either (models/runtime/spawn.ts).
      ORT_DISABLE_TELEMETRY: '1',
      // On local chains what is paid is final after 3.2 s instead of 12.8; a blockhash still outlives any pause of a busy machine.
      BRAMBLE_SLOT_MS: '100',
    },
    // For what hangs: several suites start real processes, which take three times as long on a busy machine.
    testTimeout: slow ? 300_000 : 90_000,
    hookTimeout: 60_000,
  },
})
