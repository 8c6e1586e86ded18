import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Order } from '../../models/runtime/messages.ts'
import { createQueue } from '../../models/runtime/queue.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function rig() {
  const sent: number[] = []
  const killed: number[] = []
  const outcomes: Record<number, string> = {}
  let answered = 0
  let drains = 0
  const queue = createQueue({
    send: (order) => void sent.push(order.id),
    overLimit: ({ order }) => void killed.push(order.id),
    drained: () => void drains++,
    elapsed: () => performance.now(),
  })
  const run = (id: number, until?: number) => ({
    ...job(id, 100_000),
    order: { type: 'run', id, key: 'm', frame: { contentType: 'image/jpeg', data: new Uint8Array() } } satisfies Order,
    ...(until !== undefined && { until }),
  })
  const job = (id: number, limitMs = 100) => ({
    order: { type: 'unload', id, key: 'm' } satisfies Order,
    limitMs,
    replied() {
      answered++
      outcomes[id] = outcomes[id] === undefined ? 'replied' : 'twice'
    },
    ended({ code }: { code: string }) {
      answered++
      outcomes[id] = outcomes[id] === undefined ? code : 'twice'
    },
  })
  const reply = (id: number) => queue.replied({ type: 'unloaded', id })
  return { queue, job, run, reply, sent, killed, outcomes, count: () => answered, drains: () => drains }
}

test('nothing is sent before the process is ready, then three at a time', () => {
  const { queue, job, reply, sent } = rig()
  for (const id of [1, 2, 3, 4, 5]) queue.add(job(id))
  expect(sent).toEqual([])
  queue.open([job(9)])
  expect(sent).toEqual([9, 1, 2])
  reply(9)
  expect(sent).toEqual([9, 1, 2, 3])
})

test('the clock of a job starts when the job before it was answered', () => {
  const { queue, job, reply, outcomes, killed } = rig()
  queue.open([])
  queue.add(job(1))
  queue.add(job(2))
  vi.advanceTimersByTime(90)
  reply(1)
  vi.advanceTimersByTime(90)
  expect(outcomes).toEqual({ 1: 'replied' })
  vi.advanceTimersByTime(10)
  expect(outcomes).toEqual({ 1: 'replied', 2: 'timeout' })
  expect(killed).toEqual([2])
})

test('after a job over its limit the others are sent again, in order, to the next process', () => {
  const { queue, job, reply, sent, outcomes } = rig()
  queue.open([])
  for (const id of [1, 2, 3]) queue.add(job(id))
  vi.advanceTimersByTime(100)
  // The killed process had still answered: too late.
  reply(1)
  reply(2)
  queue.gone('SIGKILL')
  queue.open([])
  expect(sent).toEqual([1, 2, 3, 2, 3])
  reply(2)
  reply(3)
  expect(outcomes).toEqual({ 1: 'timeout', 2: 'replied', 3: 'replied' })
})

test('a process that dies takes only the job it was working on with it', () => {
  const { queue, job, sent, outcomes } = rig()
  queue.open([])
  for (const id of [1, 2, 3, 4]) queue.add(job(id))
  queue.gone('SIGSEGV')
  expect(outcomes).toEqual({ 1: 'crashed' })
  vi.advanceTimersByTime(10_000)
  expect(outcomes).toEqual({ 1: 'crashed' })
  queue.open([])
  expect(sent.slice(3)).toEqual([2, 3, 4])
})

test('a run that has not begun by its deadline is told so at that moment, whatever it waits for', () => {
  const { queue, job, run, reply, sent, outcomes } = rig()
  const at = performance.now()
  queue.add(run(1, at + 50))
  queue.add(run(2))
  vi.advanceTimersByTime(50)
  expect(outcomes, 'no process yet').toEqual({ 1: 'expired' })
  queue.open([{ ...job(9, 100_000), order: { type: 'load', id: 9, key: 'm', model: {} as never } }])
  queue.add(run(3, at + 100))
  expect(sent).toEqual([9])
  vi.advanceTimersByTime(50)
  expect(outcomes, 'its model is being loaded').toEqual({ 1: 'expired', 3: 'expired' })
  reply(9)
  queue.add(run(4, at + 150))
  for (const id of [5, 6, 7]) queue.add(run(id, at + 200))
  expect(sent).toEqual([9, 2, 4, 5])
  vi.advanceTimersByTime(100)
  expect(outcomes, 'its turn').toEqual({ 1: 'expired', 3: 'expired', 6: 'expired', 7: 'expired', 9: 'replied' })
  queue.gone('SIGKILL')
  expect(outcomes, 'the next process').toMatchObject({ 2: 'crashed', 4: 'expired', 5: 'expired' })
})

test('what comes while there will be no process for long is answered at once, until there is one', () => {
  const { queue, run, sent, outcomes } = rig()
  queue.add(run(1))
  queue.close({ code: 'crashed', message: 'it does not start' })
  queue.add(run(2))
  expect(outcomes).toEqual({ 1: 'crashed', 2: 'crashed' })
  queue.open([])
  queue.add(run(3))
  expect(sent).toEqual([3])
})

test('whatever happens in whatever order, every job is answered exactly once', () => {
  const step = fc.constantFrom('add', 'add dated', 'reply', 'stale', 'die', 'late', 'open')
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { queue, job, reply, outcomes, count, killed } = rig()
      let [added, isUp] = [0, false]
      const unanswered = () => Array.from({ length: added }, (_, i) => i + 1).filter((id) => outcomes[id] === undefined)
      const die = () => {
        if (isUp) queue.gone('it')
        isUp = false
      }
      for (const what of steps) {
        if (what === 'add') queue.add(job(++added))
        if (what === 'add dated') queue.add({ ...job(++added), until: performance.now() + 150 })
        if (what === 'reply' && isUp && unanswered()[0] !== undefined) reply(unanswered()[0]!)
        if (what === 'stale') reply(added + 1)
        if (what === 'die') die()
        if (what === 'late') {
          const before = killed.length
          vi.advanceTimersByTime(100)
          if (killed.length > before) die()
        }
        if (what === 'open' && !isUp) {
          isUp = true
          queue.open([])
        }
      }
      queue.close({ code: 'busy', message: 'closing' })
      expect(count()).toBe(added)
      expect(Object.values(outcomes)).not.toContain('twice')
    }),
  )
})

test('what a process began with is not given to the next one, which brings its own', () => {
  const { queue, job, sent } = rig()
  queue.open([job(1), job(2)])
  queue.add(job(3))
  queue.gone('killed')
  queue.open([job(11), job(12)])
  expect(sent).toEqual([1, 2, 3, 11, 12, 3])
})

test('what waits and may be run elsewhere is handed over; a load stays', () => {
  const { queue, job, sent } = rig()
  const moved: number[] = []
  queue.add({ ...job(1), moved: () => void moved.push(1) })
  queue.add(job(2))
  queue.handOver()
  queue.open([])
  expect([moved, sent]).toEqual([[1], [2]])
})

test('a queue that drains sends nothing more, tells when it is empty, and goes on with the next process', () => {
  const { queue, job, reply, sent, drains, outcomes } = rig()
  queue.open([])
  for (const id of [1, 2, 3, 4]) queue.add(job(id))
  queue.drain()
  reply(1)
  reply(2)
  expect([sent, drains()]).toEqual([[1, 2, 3], 0])
  reply(3)
  expect([sent, drains()]).toEqual([[1, 2, 3], 1])
  queue.gone('asked to')
  queue.open([])
  expect(sent).toEqual([1, 2, 3, 4])
  reply(4)
  expect(Object.values(outcomes)).toEqual(['replied', 'replied', 'replied', 'replied'])
})
