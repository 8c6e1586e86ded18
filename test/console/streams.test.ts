import { createReadStream, mkdtempSync, type ReadStream, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createStreams } from '../../console/routes/streams.ts'

let folder: string
let file: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'streams-'))
  file = join(folder, 'large')
  writeFileSync(file, Buffer.alloc(1 << 20))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** What a file is read by. */
const PIECE = 64 * 1024

function rig() {
  let now = 0
  const files: ReadStream[] = []
  const streams = createStreams(() => now)
  return {
    files,
    open: (device: string) =>
      streams.open(device, () => {
        const opened = createReadStream(file)
        files.push(opened)
        return opened
      }),
    pass: (ms: number) => {
      now += ms
    },
    close: () => files.forEach((one) => void one.destroy()),
  }
}

it('a fifth download of one board ends its oldest, and none of another', () => {
  const { open, files, close } = rig()
  open('other')
  for (let n = 0; n < 5; n += 1) expect(open('board')).toBeDefined()
  expect(files.map(({ destroyed }) => destroyed)).toEqual([false, true, false, false, false, false])
  close()
})

it('where all places are taken, only what stood still for a minute makes way', async () => {
  const { open, files, pass, close } = rig()
  const readers = Array.from({ length: 128 }, (_, n) => open(`board-${n}`)!.getReader())
  for (const reader of readers) await reader.read()
  // Behind each piece that is taken the next two are read ahead.
  const ahead = (pieces: number) => files.filter(({ bytesRead }) => bytesRead >= pieces * PIECE).length
  await expect.poll(() => ahead(3)).toBe(128)
  pass(50_000)
  expect(open('newcomer')).toBeUndefined()
  // All but one go on.
  for (const reader of readers.toSpliced(70, 1)) await reader.read()
  await expect.poll(() => ahead(4)).toBe(127)
  pass(20_000)
  expect(open('newcomer')).toBeDefined()
  expect(files.flatMap(({ destroyed }, n) => (destroyed ? [n] : []))).toEqual([70])
  expect(open('one more')).toBeUndefined()
  close()
})

it('a download that ends frees its place', async () => {
  const { open, files, close } = rig()
  const all = Array.from({ length: 128 }, (_, n) => open(`board-${n}`)!)
  expect(open('newcomer')).toBeUndefined()
  await all[3]!.cancel()
  await expect.poll(() => files[3]!.closed).toBe(true)
  expect(open('newcomer')).toBeDefined()
  close()
})
