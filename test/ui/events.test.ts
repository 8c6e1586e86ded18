import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type EventLoop, followEvents, retryDelay, SILENCE_MS } from '../../console/ui/events.ts'

/** A response whose stream says `text` and then ends, or stays open in silence. */
const stream = (text: string, ends: boolean): Response =>
  new Response(
    new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(text))
        if (ends) controller.close()
      },
    }),
  )

/** A loop over the answers given in order, and what it did; ends when they are used up. */
function watch(answers: readonly (() => Response | Promise<Response>)[]) {
  const stop = new AbortController()
  const told: string[] = []
  let turn = 0
  const loop: EventLoop = {
    open: async () => {
      const answer = answers[turn++]
      if (answer) return answer()
      stop.abort()
      throw new Error('no more answers')
    },
    onEvent: ({ event }) => told.push(event),
    onLive: () => told.push('live'),
    onLost: (retryMs) => told.push(`lost ${retryMs}`),
    onRefused: () => told.push('refused'),
    sleep: async () => undefined,
    random: () => 1,
  }
  return { told, ended: followEvents(loop, stop.signal) }
}

const unreachable = (): Response => {
  throw new TypeError('fetch failed')
}

describe('following the console', () => {
  it('waits longer after each failure, and starts small again after a connection', async () => {
    const { told, ended } = watch([
      unreachable,
      unreachable,
      () => new Response('', { status: 502 }),
      () => stream('event: rewards\ndata: {}\n\n', true),
      unreachable,
    ])
    await ended
    expect(told).toEqual(['lost 1000', 'lost 1500', 'lost 2500', 'live', 'rewards', 'lost 1000', 'lost 1500'])
  })

  it('never waits much longer than 15 s', () => {
    expect(retryDelay(40, () => 1)).toBe(15_500)
    expect(retryDelay(40, () => 0)).toBe(500)
  })

  it('stops and says so when the token is refused', async () => {
    const { told, ended } = watch([() => new Response('{}', { status: 401 })])
    await ended
    expect(told).toEqual(['refused'])
  })

  it('survives an event that is no JSON by connecting again', async () => {
    const { told, ended } = watch([() => stream('event: task\ndata: {\n\n', false)])
    await ended
    expect(told).toEqual(['live', 'lost 1000'])
  })

  describe('in silence', () => {
    beforeEach(() => void vi.useFakeTimers())
    afterEach(() => void vi.useRealTimers())

    it('gives a connection up that TCP still believes in', async () => {
      const { told, ended } = watch([() => stream('event: rewards\ndata: {}\n\n', false)])
      await vi.advanceTimersByTimeAsync(SILENCE_MS - 1)
      expect(told).toEqual(['live', 'rewards'])
      await vi.advanceTimersByTimeAsync(1)
      await ended
      expect(told).toEqual(['live', 'rewards', 'lost 1000'])
    })
  })
})
