// The power is cut at every moment, on a disk that takes its time: a second board finds what the disk had said it has, and
// nothing that was written since. What the first one told the world must be in it.
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { copyBoard, expectGoesOn } from './second-board.ts'
import { createWorld, freshMemoryFolder, type Past, type World } from './world.ts'
import { watchWrites } from './write-points.ts'

const DISK_MS = 180

const worlds: World[] = []
let unwatch = (): void => undefined
afterEach(() => {
  unwatch()
  for (const world of worlds.splice(0)) world.close()
})

it('the power is cut at any moment: nothing was told that the disk had not, nothing is lost or told twice', async () => {
  const folder = freshMemoryFolder()
  /** What the disk has, and all that was told before it had more. */
  const disks: { readonly folder: string; past: Past }[] = []
  let world: World | undefined

  function keep(): void {
    if (!world) return
    const to = join(folder, `disk-${disks.length}`)
    copyBoard(folder, to)
    disks.push({ folder: to, past: world.past() })
  }
  function told(): void {
    const disk = disks.at(-1)
    if (disk && world) disk.past = world.past()
  }

  unwatch = watchWrites((name) => {
    if (name.startsWith('after wal_checkpoint(TRUNCATE)')) keep()
  })
  world = await createWorld({
    folder,
    onPoint: told,
    syncFile: (_, done) =>
      void world?.clock.after(DISK_MS, () => {
        keep()
        done(null)
      }),
  })
  worlds.push(world)
  keep()
  for (let n = 0; n < 60; n += 1) {
    if (n === 20) world.network('deaf')
    if (n === 28) world.network('off')
    if (n === 36) world.network('on')
    world.send(`task-${n}`)
    if (n % 3 === 0) world.send(`text-${n}`, Buffer.from('not a picture'))
    // Some come again while their answers are on their way to the disk.
    if (n % 4 === 0) world.send(`task-${n >> 1}`)
    await world.advance(n % 5 === 0 ? 700 : 45)
  }
  await world.settle()
  await world.advance(60_000)
  world.send('the-last')
  await world.settle()
  expect(world.verdict()).toEqual([])
  unwatch()
  expect(disks.length).toBeGreaterThan(30)

  for (const { folder: own, past } of disks) await expectGoesOn(own, past, own)
})
