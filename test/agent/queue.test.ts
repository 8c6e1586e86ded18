import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createQueue, type Waiting } from '../../agent/frames/queue.ts'

const item = (more: Partial<Waiting> & { n?: number } = {}) => ({
  kind: 'task' as const,
  model: 'm',
  source: 'm',
  arrivedAt: 0,
  bytes: 10,
  ...more,
})
const limits = { framesPerModel: 4, bytesPerModel: 100 }

describe('the queue', () => {
  test('gives tasks by earliest deadline, whatever their order of arrival', () => {
    const queue = createQueue<ReturnType<typeof item>>(limits)
    for (const deadline of [300, 100, 200]) queue.offer(item({ deadline }))
    expect([1, 2, 3].map(() => queue.take(0).next?.deadline)).toEqual([100, 200, 300])
  })

  test('keeps only the newest frame of a source and says which one it replaced', () => {
    const queue = createQueue<ReturnType<typeof item>>(limits)
    expect(queue.offer(item({ kind: 'frame', n: 1 }))).toEqual({ ok: true })
    expect(queue.offer(item({ kind: 'frame', n: 2 }))).toMatchObject({ ok: true, replaced: { n: 1 } })
    expect(queue.size()).toBe(1)
    expect(queue.take(0).next).toMatchObject({ n: 2 })
  })

  test('does not push a fast camera back each time a newer frame of it comes', () => {
    const queue = createQueue<ReturnType<typeof item>>(limits)
    queue.offer(item({ kind: 'frame', arrivedAt: 0 }))
    queue.offer(item({ deadline: 1_500 }))
    queue.offer(item({ kind: 'frame', arrivedAt: 900 }))
    expect(queue.take(950).next).toMatchObject({ kind: 'frame', arrivedAt: 900 })
  })

  test('does not let a stream starve a task whose deadline is nearer', () => {
    const queue = createQueue<ReturnType<typeof item>>(limits)
    queue.offer(item({ kind: 'frame', arrivedAt: 0 }))
    queue.offer(item({ deadline: 500 }))
    expect(queue.take(0).next).toMatchObject({ kind: 'task' })
  })

  test('hands out what expired apart, and never as the next one', () => {
    const queue = createQueue<ReturnType<typeof item>>(limits)
    queue.offer(item({ deadline: 10, n: 1 }))
    queue.offer(item({ deadline: 30, n: 2 }))
    expect(queue.take(10)).toMatchObject({ next: { n: 2 }, expired: [{ n: 1 }] })
  })

  test('refuses by count and says how many are ahead', () => {
    const queue = createQueue<ReturnType<typeof item>>(limits)
    for (let n = 0; n < 4; n += 1) expect(queue.offer(item()).ok).toBe(true)
    expect(queue.offer(item())).toEqual({ ok: false, ahead: 4 })
    expect(queue.offer(item({ model: 'other' })).ok).toBe(true)
  })

  test('refuses by bytes, but takes a newer frame in the place of an old one', () => {
    const queue = createQueue<ReturnType<typeof item>>(limits)
    queue.offer(item({ kind: 'frame', bytes: 60 }))
    expect(queue.offer(item({ bytes: 60 })).ok).toBe(false)
    expect(queue.offer(item({ kind: 'frame', bytes: 100 })).ok).toBe(true)
    expect(queue.bytes()).toBe(100)
  })

  test('accounts for every frame and never exceeds its bounds', () => {
    const offer = fc.record({
      kind: fc.constantFrom('task' as const, 'frame' as const),
      model: fc.constantFrom('a', 'b'),
      source: fc.constantFrom('x', 'y', 'z'),
      deadline: fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }),
      bytes: fc.integer({ min: 1, max: 60 }),
    })
    const step = fc.oneof(offer, fc.constant('take' as const), fc.constant('clear' as const))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = createQueue<Waiting>(limits)
        const seen = { in: 0, out: 0, refused: 0, replaced: 0, expired: 0, cleared: 0 }
        steps.forEach((next, at) => {
          if (next === 'take') {
            const { next: taken, expired } = queue.take(at)
            seen.out += taken ? 1 : 0
            seen.expired += expired.length
            for (const gone of expired) expect(gone.deadline).toBeLessThanOrEqual(at)
            expect(taken?.deadline ?? at + 1).toBeGreaterThan(at)
          } else if (next === 'clear') seen.cleared += queue.clear().length
          else {
            const { deadline, ...rest } = next
            const offered = queue.offer({ ...rest, arrivedAt: at, ...(deadline !== undefined && { deadline }) })
            seen.in += 1
            seen.refused += offered.ok ? 0 : 1
            seen.replaced += offered.ok && offered.replaced ? 1 : 0
          }
          const { in: arrived, ...gone } = seen
          expect(arrived).toBe(Object.values(gone).reduce((a, b) => a + b) + queue.size())
          expect(queue.size()).toBeLessThanOrEqual(2 * limits.framesPerModel)
          expect(queue.bytes()).toBeLessThanOrEqual(2 * limits.bytesPerModel)
        })
      }),
    )
  })
})
