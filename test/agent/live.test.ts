// What deadlines and live pictures can expect of a board that is offered four times what it can do, half of it streams, half of it
// tasks: in virtual time, so that it depends on our choices and on nothing else. The same on a real machine: overload.test.ts.
//
// A stream's latency is counted in run times, of a run that has the machine to itself. Two of them cannot be promised to every frame while
// tasks share the board: a camera that sends every fourth run time has, when its turn comes, at best a frame that is up to four run
// times old. In the middle it holds; nineteen of twenty take less than three.
import { expect, test } from 'vitest'
import { live, RUN_MS } from './live-run.ts'

test.each([
  { processes: 1, jitter: 0 },
  { processes: 1, jitter: 0.5 },
  { processes: 2, jitter: 0 },
  { processes: 2, jitter: 0.5 },
])('overloaded, no task is answered late, and live pictures are live: %j', { timeout: 60_000 }, async (how) => {
  const { answered, p50, p95, met, late } = await live({ ...how, seconds: 20 })
  expect(late).toBe(0)
  // Of 20 s, the streams and the tasks each have nearly half.
  const runs = (how.processes * 20_000) / (RUN_MS - 4)
  expect(Math.min(answered, met)).toBeGreaterThan(0.4 * runs)
  expect(p50).toBeLessThan(2 * RUN_MS)
  expect(p95).toBeLessThan(3 * RUN_MS)
})
