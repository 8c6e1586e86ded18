// One minute at four times the sustainable rate from twenty sources, half of them streams, half of them tasks. Times are those of the
// consumer: from sending a frame until its answer is heard. The load generator, the broker and the consumer share the board's
// cores, and others may as well, so a run time is one under this very load; what the board's own choices make of it is in
// test/agent/live.test.ts, in virtual time.
import { expect, test } from 'vitest'
import { overload } from '../agent/overload-run.ts'

const SECONDS = 60
/**
 * Of the answers to tasks so many may be heard after the deadline: a run, or a disk, may always take longer than any before. Measured:
 * 0 to 0.023, by what else the machine does; none in virtual time.
 */
const LATE_PART = 0.05
/** Measured: 1.8 to 2.1 and 3.6 to 4.5, by what else the machine does; one run of twenty alone takes 1.5 to 1.8 of them. */
const LIVE_RUNS = { p50: 3, p95: 7 }

test('a minute of overload: memory flat, deadlines met or refused, live pictures live, every frame accounted for', async () => {
  const report = await overload(SECONDS)
  const { stopped, sentInAll, tasks, streams, perSource, residentMiB } = report
  expect(stopped).toMatchObject({ msg: 'stopped', in: sentInAll })
  expect(stopped['in']).toBe((stopped['answered'] ?? 0) + (stopped['refused'] ?? 0) + (stopped['dropped'] ?? 0))
  expect(tasks.answeredOnce).toBe(tasks.sent)
  expect(Object.keys(tasks.refused).filter((code) => code !== 'expired' && code !== 'busy')).toEqual([])
  expect(tasks.lateMs.length, `late by ${tasks.lateMs.map(Math.round)} ms`).toBeLessThanOrEqual(LATE_PART * tasks.met)
  expect(streams.p50Ms).toBeLessThan(LIVE_RUNS.p50 * streams.runMs)
  expect(streams.p95Ms).toBeLessThan(LIVE_RUNS.p95 * streams.runMs)
  const all = [...perSource.streams, ...perSource.tasks]
  expect(Math.min(...all)).toBeGreaterThan(0.4 * Math.max(...all))
  const [, second = 0, third = 0] = residentMiB
  expect(third).toBeLessThan(1.02 * second + 2)
})
