// What receipts say of the runtime: that of the very run, though models come and go while the process lives.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createOrigins } from '../../agent/origins.ts'
import { createRig, RUNTIME } from './buffer-rig.ts'
import { GOOD, JPEG, readModels, startCore } from './core-rig.ts'

let rig: ReturnType<typeof createRig>
beforeEach(async () => {
  rig = createRig()
  await readModels()
})
afterEach(() => rig.remove())

test('a receipt names the provider that its model ran on, not the one of the start', async () => {
  let origins: ReturnType<typeof createOrigins> | undefined
  const { buffer, receive, turn, advance } = startCore(rig, { origin: (provider) => origins?.of(provider) })
  origins = createOrigins(buffer, 'boot')
  origins.begin({ ...RUNTIME, provider: 'cpu' })
  for (const provider of ['cpu', 'cuda', undefined] as const) {
    receive(`on-${provider}`, JPEG)
    await turn({ ...GOOD, ...(provider && { provider }) })
  }
  await advance(60_000)
  const batches = [1, 2, 3].map((seq) => rig.verify(buffer.nextBatch(seq - 1)?.jws ?? ''))
  expect(
    batches.flatMap(({ boot, runtime, items }) => items.map(({ task }) => [task, boot, runtime.provider])),
  ).toEqual([
    ['on-cpu', 'boot', 'cpu'],
    ['on-cuda', 'boot', 'cuda'],
    ['on-undefined', 'boot', 'cpu'],
  ])
})

test('before the host has said what it runs on, no receipt is made', () => {
  const origins = createOrigins(rig.open(), 'boot')
  expect([origins.hasBegun(), origins.of('cpu')]).toEqual([false, undefined])
  origins.begin(RUNTIME)
  expect([origins.hasBegun(), origins.of('cpu')]).toEqual([true, origins.of(undefined)])
})
