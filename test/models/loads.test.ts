import { pino } from 'pino'
import { beforeEach, expect, test } from 'vitest'
import { type Catalog, readCatalog } from '../../models/catalog.ts'
import { createJobs, createLoads } from '../../models/runtime/loads.ts'
import type { Reply } from '../../models/runtime/messages.ts'
import type { Job } from '../../models/runtime/queue.ts'

const NAME = 'fashion'
const KILLED = { code: 'model-failed', message: 'the process died' } as const
let catalog: Catalog
beforeEach(async () => {
  catalog = await readCatalog(new URL('../../models', import.meta.url).pathname)
})

/** Of one process after another; `lost` are the models that a new one does not hold. */
async function startLoads() {
  const added: Job[] = []
  const lost: string[] = []
  const loads = createLoads({
    add: (job) => added.push(job),
    job: createJobs(),
    limitMs: 1_000,
    log: pino({ level: 'silent' }),
    onLost: (name) => lost.push(name),
  })
  const pkg = catalog.resolve(NAME)
  if (!pkg) throw new Error(`no package ${NAME}`)
  const loading = loads.load(pkg)
  const loaded = (job: Job | undefined) => job?.replied({ type: 'loaded', id: job.order.id } as Reply)
  loaded(added[0])
  await loading
  return { loads, lost, loaded }
}

test('a model over whose load a second process dies in a row is lost, for a first one may die by chance', async () => {
  const { loads, lost } = await startLoads()
  loads.reloads()[0]?.ended(KILLED, true)
  expect(lost).toEqual([])
  const [again] = loads.reloads()
  expect(loads.isReloading()).toBe(true)
  again?.ended(KILLED, true)
  expect(lost).toEqual(['fashion@1.0.0'])
  expect(loads.reloads()).toEqual([])
})

test('a load that went well in between makes the next death one by chance again', async () => {
  const { loads, lost, loaded } = await startLoads()
  for (let n = 0; n < 3; n += 1) {
    loads.reloads()[0]?.ended(KILLED, true)
    loaded(loads.reloads()[0])
    expect(loads.isReloading()).toBe(false)
  }
  expect(lost).toEqual([])
})
