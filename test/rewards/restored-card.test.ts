import { copyFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { createReceipts } from '../../console/rewards/receipts.ts'
import { createRig, DEVICE } from '../agent/buffer-rig.ts'
import { startOutbox } from '../agent/outbox-rig.ts'
import { makeFolder, openStore, silent } from '../market/pool.ts'

/** A console with this board, whose owner's own pipeline feeds it. */
async function openConsole(rig: ReturnType<typeof createRig>) {
  const folder = makeFolder()
  const store = await openStore(folder)
  onTestFinished(async () => {
    await store.close()
    folder.remove()
  })
  await store.db.insertInto('owners').values({ id: 'owner', name: 'owner', created_at: 0 }).execute()
  await store.db
    .insertInto('devices')
    .values({ id: DEVICE, name: 'calm-green-fox', owner_id: 'owner', public_key: 'its-key', enrolled_at: 0 })
    .execute()
  const receipts = createReceipts({
    store,
    now: () => 2,
    devicePublicKey: () => rig.publicKey,
    modelDigest: () => undefined,
    settings: { holdMs: 0, feeBps: 0, royaltyBps: 0 },
    emit: () => undefined,
    log: silent,
  })
  return {
    receipts,
    credited: async () => {
      const rows = await store.db.selectFrom('receipts').select('task_id').orderBy('task_id').execute()
      return [...new Set(rows.map(({ task_id }) => task_id))]
    },
  }
}

test.for([0, 2])('a board whose card is set back to an old copy, with %i tasks done, is paid again', async (before) => {
  const rig = createRig()
  const { receipts, credited } = await openConsole(rig)

  /** Does these tasks, and talks with the console for two minutes. */
  async function live(tasks: readonly number[]): Promise<void> {
    const { add, broker, advance, sent, outbox, buffer } = startOutbox({ rig })
    broker('on')
    for (const task of tasks) add(task)
    for (let s = 0; s < 120; s += 1) {
      await advance(1_000)
      for (const jws of sent().filter((text) => !text.startsWith('{'))) {
        const said = await receipts.ingest(DEVICE, jws)
        const ack = 'ack' in said ? said.ack : undefined
        if (ack?.chain === buffer.chain()) ack.forked ? outbox.forked() : outbox.acknowledged(ack.upTo)
      }
    }
    expect(buffer.owed()).toBe(0)
    buffer.close()
  }

  await live(Array.from({ length: before }, (_, n) => n))
  copyFileSync(rig.file, `${rig.file}.copy`)
  await live([10, 11])
  await live([12])
  copyFileSync(`${rig.file}.copy`, rig.file)
  await live([20, 21])
  expect(await credited()).toEqual([
    ...Array.from({ length: before }, (_, n) => `t${n}`),
    't10',
    't11',
    't12',
    't20',
    't21',
  ])
})
