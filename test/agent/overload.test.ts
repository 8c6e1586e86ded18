// A few seconds of what test/slow/overload.test.ts does for a minute.
import { expect, test } from 'vitest'
import { overload } from './overload-run.ts'

test('at four times what it can do, a board accounts for every frame and answers every task once', async () => {
  const { stopped, sentInAll, tasks, streams, perSource } = await overload(3)
  expect(stopped).toMatchObject({ msg: 'stopped', in: sentInAll })
  expect(stopped['in']).toBe((stopped['answered'] ?? 0) + (stopped['refused'] ?? 0) + (stopped['dropped'] ?? 0))
  expect(tasks.answeredOnce).toBe(tasks.sent)
  expect(Object.keys(tasks.refused).filter((code) => code !== 'expired' && code !== 'busy')).toEqual([])
  expect(tasks.met).toBeGreaterThan(0)
  // Other tests run beside this one: the strict figures are those of the slow test.
  expect(streams.p50Ms).toBeLessThan(8 * streams.runMs)
  expect(Math.min(...perSource.streams, ...perSource.tasks)).toBeGreaterThan(0)
})
