import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createEvents } from '../../console/events.ts'
import { eventRoutes } from '../../console/routes/events.ts'
import type { ConsoleEvent, Device, Overview, PayoutView, TaskView } from '../../console/routes/shapes.ts'
import { createFeed } from '../../console/routes/views/feed.ts'

const rewards: ConsoleEvent = { event: 'rewards', data: { at: '2026-11-22T12:00:00.000Z' } }

function openStream() {
  const listeners = new Set<(event: ConsoleEvent) => void>()
  const stop = new AbortController()
  const app = eventRoutes({
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    stopping: stop.signal,
  })
  const tell = (event: ConsoleEvent): void => {
    for (const listener of listeners) listener(event)
  }
  return { app, tell, stop, listeners }
}

async function readerOf(app: ReturnType<typeof openStream>['app']) {
  const response = await app.request('/')
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
  return (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as never).getReader()
}

describe('the event stream', () => {
  it('carries named events with their JSON', async () => {
    const { app, tell, stop, listeners } = openStream()
    const reader = await readerOf(app)
    expect(await reader.read()).toMatchObject({ value: 'retry: 2000\n\n' })
    tell(rewards)
    expect(await reader.read()).toMatchObject({ value: `event: rewards\ndata: ${JSON.stringify(rewards.data)}\n\n` })
    stop.abort()
    expect((await reader.read()).done).toBe(true)
    expect(listeners.size).toBe(0)
  })

  it('lets a client go that does not read, and forgets it', async () => {
    const { app, tell, listeners } = openStream()
    const reader = await readerOf(app)
    await reader.read()
    for (let number = 0; number < 400; number++) tell(rewards)
    let read = 0
    while (!(await reader.read()).done) read += 1
    expect(read).toBeLessThan(300)
    expect(listeners.size).toBe(0)
  })

  it('forgets a client that leaves', async () => {
    const { app, listeners, tell } = openStream()
    const reader = await readerOf(app)
    await reader.read()
    await reader.cancel()
    tell(rewards)
    await vi.waitFor(() => expect(listeners.size).toBe(0))
  })

  describe('when nothing happens', () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
    afterEach(() => void vi.useRealTimers())

    it('says every 15 s that it is still there', async () => {
      const { app, stop } = openStream()
      const reader = await readerOf(app)
      await reader.read()
      const silence = reader.read()
      await vi.advanceTimersByTimeAsync(15_000)
      expect(await silence).toMatchObject({ value: ': still here\n\n' })
      stop.abort()
    })
  })
})

describe('the feed', () => {
  const events = createEvents()
  let now = 0
  let overviews = 0
  const told: ConsoleEvent[] = []
  const feed = createFeed({
    listen: events.listen,
    tasks: async (ids) => ids.map((id) => ({ id }) as TaskView),
    devices: async (ids) => ids.map((id) => ({ id }) as Device),
    payouts: async (ids) => ids.map((id) => ({ id }) as PayoutView),
    walletChanges: async () => [],
    overview: async () => {
      overviews += 1
      return {} as Overview
    },
    now: () => now,
  })
  const namesTold = (): string[] => told.splice(0).map(({ event }) => event)

  it('reads nothing while nobody listens', async () => {
    events.emit({ about: 'task', id: 'a' })
    await feed.turn()
    expect(overviews).toBe(0)
  })

  it('tells each changed thing once per turn, and the overview once a second', async () => {
    const stop = feed.subscribe((event) => told.push(event))
    now = 10_000
    for (const id of ['a', 'b', 'a']) events.emit({ about: 'task', id })
    events.emit({ about: 'device', id: 'd' })
    events.emit({ about: 'rewards' })
    events.emit({ about: 'wallets' })
    await feed.turn()
    expect(namesTold()).toEqual(['task', 'task', 'device', 'rewards', 'wallets', 'overview'])
    now += 500
    await feed.turn()
    expect(namesTold()).toEqual([])
    now += 500
    await feed.turn()
    expect(namesTold()).toEqual(['overview'])
    stop()
  })

  it('tells the newest tasks when there are more than anybody can read', async () => {
    const stop = feed.subscribe((event) => told.push(event))
    for (let number = 0; number < 100; number++) events.emit({ about: 'task', id: String(number) })
    await feed.turn()
    const tasks = told.splice(0).filter((event) => event.event === 'task')
    expect(tasks).toHaveLength(25)
    expect(tasks.at(-1)?.data).toEqual({ id: '99' })
    stop()
  })
})
