// One minute at four times the sustainable rate from twenty sources, half of them streams, half of them tasks.
import { expect, test } from 'vitest'
import { overload } from '../agent/overload-run.ts'

const SECONDS = 60
/** Of the tasks that were run, so many may end after their deadline: a run may always take longer than any before. */
const LATE_PART = 0.05

test('a minute of overload: memory flat, deadlines met or refused, live pictures live, every frame accounted for', async () => {
  const report = await overload(SECONDS)
  const { stopped, sentInAll, tasks, streams, perSource, residentMiB } = report
  expect(stopped).toMatchObject({ msg: 'stopped', in: sentInAll })
  expect(stopped['in']).toBe((stopped['answered'] ?? 0) + (stopped['refused'] ?? 0) + (stopped['dropped'] ?? 0))
  expect(tasks.answeredOnce).toBe(tasks.sent)
  expect(Object.keys(tasks.refused).filter((code) => code !== 'expired' && code !== 'busy')).toEqual([])
  expect(tasks.late).toBeLessThanOrEqual(LATE_PART * (tasks.met + tasks.late))
  expect(streams.p50Ms).toBeLessThan(2 * streams.runMs)
  const all = [...perSource.streams, ...perSource.tasks]
  expect(Math.min(...all)).toBeGreaterThan(0.4 * Math.max(...all))
  const [, second = 0, third = 0] = residentMiB
  expect(third).toBeLessThan(1.02 * second + 2)
})
