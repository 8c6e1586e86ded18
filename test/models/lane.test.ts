import { expect, test } from 'vitest'
import type { Runtime } from '../../broker/protocol/messages.ts'
import { RunFailure } from '../../models/runtime/failure.ts'
import { createLane } from '../../models/runtime/lane.ts'
import type { Order, Reply } from '../../models/runtime/messages.ts'
import type { LoadableModel, Model } from '../../models/runtime/model.ts'

const runtime: Runtime = { ort: '1', provider: 'cpu', cpu: 'x64', decoder: 'd', flags: [] }
const frame = (name: string) => ({ contentType: name, data: Buffer.alloc(1) })

/** A lane over a model that notes what happens to it; `decodeMs` and `inferMs` pass on the lane's own clock. */
function rig({ decodeMs = 0, inferMs = 0 } = {}) {
  const events: string[] = []
  const replies: Reply[] = []
  let clock = 0
  let wanted = 0
  let settle = () => {}
  const model: Model = {
    provider: 'cpu',
    outputBytes: 4,
    async prepare({ contentType: name }) {
      events.push(`decode ${name}`)
      clock += decodeMs
      if (name === 'bad') throw new RunFailure('bad-frame', 'no picture')
      return {
        run: async () => ({ prediction: { kind: 'tensor', outputs: [] }, digest: name }),
        release: () => void events.push(`release ${name}`),
      }
    },
    async run(prepared) {
      const answer = await prepared.run(undefined as never)
      events.push(`run ${answer.digest}`)
      clock += inferMs
      if (answer.digest === 'broken') throw new Error('a bug')
      return answer
    },
    close: async () => void events.push('close'),
  }
  const lane = createLane({
    open: async ({ file }: LoadableModel) => {
      if (file === 'missing') throw new Error('no such file')
      return model
    },
    now: () => clock,
    rssMiB: () => 1,
    cpuMs: () => clock,
    runtimeOn: () => runtime,
    reply(reply) {
      replies.push(reply)
      if (replies.length === wanted) settle()
    },
    afterRun: () => void events.push('collect'),
  })
  let id = 0
  return {
    events,
    replies,
    give(...orders: object[]): void {
      for (const order of orders) lane.accept({ id: ++id, key: 'm@1', ...order } as Order)
    },
    repliesAre: (count: number) =>
      new Promise<void>((resolve) => {
        wanted = count
        settle = resolve
        if (replies.length >= count) resolve()
      }),
  }
}

const load = { type: 'load', model: { file: 'ok' } }
const run = (name: string) => ({ type: 'run', frame: frame(name) })

test('the next frame is being decoded while this one runs, and no more than that', async () => {
  const { give, repliesAre, events } = rig()
  give(load)
  await repliesAre(1)
  give(run('a'), run('b'), run('c'))
  await repliesAre(4)
  expect(events.filter((event) => event !== 'collect')).toEqual([
    'decode a',
    'decode b',
    'run a',
    'release a',
    'decode c',
    'run b',
    'release b',
    'run c',
    'release c',
  ])
})

test('answers come in the order of the orders, each exactly once, and a bad frame stops nobody', async () => {
  const { give, repliesAre, replies, events } = rig()
  give(load, run('a'), run('bad'), run('broken'), run('b'))
  await repliesAre(5)
  expect(replies.map((reply) => reply.id)).toEqual([1, 2, 3, 4, 5])
  expect(replies.slice(1)).toMatchObject([
    { outcome: { ok: true, digest: 'a' } },
    { outcome: { ok: false, error: { code: 'bad-frame', message: 'no picture' } } },
    { outcome: { ok: false, error: { code: 'model-failed', message: 'a bug' } } },
    { outcome: { ok: true, digest: 'b' } },
  ])
  expect(events.filter((event) => event === 'release broken')).toHaveLength(1)
})

test('decoding hidden behind a run is not charged to the frame', async () => {
  const { give, repliesAre, replies } = rig({ decodeMs: 2, inferMs: 10 })
  give(load, run('a'), run('b'))
  await repliesAre(3)
  for (const reply of replies.slice(1)) expect(reply).toMatchObject({ outcome: { ms: { infer: 10 } } })
  for (const reply of replies.slice(1)) {
    const { decode } = (reply as { outcome: { ms: { decode: number } } }).outcome.ms
    expect(decode).toBeLessThanOrEqual(4)
  }
})

test('a model that is not loaded, fails to load, or was unloaded is said to be unknown', async () => {
  const { give, repliesAre, replies, events } = rig()
  give(run('a'), { type: 'load', model: { file: 'missing' } }, load, run('b'), { type: 'unload' }, run('c'))
  await repliesAre(6)
  expect(replies).toMatchObject([
    { outcome: { ok: false, error: { code: 'unknown-model', message: 'm@1 is not loaded' } } },
    { type: 'load-failed', message: 'no such file' },
    { type: 'loaded', runtime },
    { outcome: { ok: true } },
    { type: 'unloaded' },
    { outcome: { ok: false, error: { code: 'unknown-model' } } },
  ])
  expect(events).toContain('close')
})
