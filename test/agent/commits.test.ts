import { statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { startOutbox } from './outbox-rig.ts'

describe('commits', () => {
  const full = Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })

  test('share one write when answers come together', async () => {
    let writes = 0
    const { add, advance, broker, said } = startOutbox({
      write: (real) => (changes) => {
        writes += 1
        return real(changes)
      },
    })
    broker('on')
    for (let n = 0; n < 10; n += 1) add(n)
    await advance(5)
    expect(writes).toBe(1)
    expect(said()).toHaveLength(10)
  })

  test('keep an answer that the disk refused, take no work meanwhile, say so once, and write it later', async () => {
    let broken = true
    const { add, advance, broker, said, commits, logged } = startOutbox({
      write: (real) => (changes) => {
        if (broken) throw full
        return real(changes)
      },
    })
    broker('on')
    add(1)
    await advance(10)
    expect(commits.failing()).toBe(true)
    expect(said()).toEqual([])
    await advance(60_000)
    broken = false
    await advance(1_000)
    expect(commits.failing()).toBe(false)
    expect(said()).toContain('t1')
    expect(logged()).toEqual([
      'results cannot be written: no new work is taken until they can',
      'the disk takes results again',
    ])
  })

  test('wait for the disk, and nothing is told before it has them; what comes meanwhile shares the next one', async () => {
    const disk: (() => void)[] = []
    const { add, advance, broker, said, commits, outbox } = startOutbox({
      sync: (real) => (done) => void disk.push(() => real(done)),
    })
    broker('on')
    add(0)
    await advance(0)
    for (let n = 1; n < 10; n += 1) add(n)
    // Whatever asks for what is owed meanwhile gets none of it.
    broker('off')
    broker('on')
    outbox.wake()
    await advance(600)
    expect([disk.length, said(), commits.pending()]).toEqual([1, [], 9])
    expect([commits.holds('m', 't0'), commits.holds('m', 't9')]).toEqual([true, true])
    disk.shift()?.()
    expect([said(), commits.holds('m', 't0')]).toEqual([['t0'], false])
    await advance(100)
    expect([disk.length, said()]).toEqual([1, []])
    disk.shift()?.()
    expect(said()).toEqual(Array.from({ length: 9 }, (_, n) => `t${n + 1}`))
  })

  test('that are in the file and not on disk are brought there before any other, and no work is taken until they are', async () => {
    let broken = true
    let writes = 0
    const { add, advance, broker, said, commits } = startOutbox({
      write: (real) => (changes) => {
        writes += 1
        return real(changes)
      },
      sync: (real) => (done) => (broken ? done(Object.assign(new Error('i/o error'), { code: 'EIO' })) : real(done)),
    })
    broker('on')
    add(1)
    await advance(10)
    add(2)
    await advance(5_000)
    expect([commits.failing(), writes, said(), commits.holds('m', 't1')]).toEqual([true, 1, [], true])
    const flushed = commits.flush()
    await advance(0)
    expect(await flushed).toBe(false)
    broken = false
    await advance(1_000)
    expect([commits.failing(), said()]).toEqual([false, ['t1']])
    await advance(100)
    expect(said()).toContain('t2')
  })

  test('end with everything signed and on disk when they are flushed, also while one is under way', async () => {
    const disk: (() => void)[] = []
    const { add, advance, broker, buffer, commits } = startOutbox({
      sync: (real) => (done) => void disk.push(() => real(done)),
    })
    broker('off')
    add(1)
    await advance(0)
    add(2)
    const flushed = commits.flush()
    for (let n = 0; n < 3; n += 1) {
      await advance(0)
      expect(disk).toHaveLength(1)
      disk.shift()?.()
    }
    expect(await flushed).toBe(true)
    expect([buffer.uncut(), buffer.lastSeq(), commits.pending()]).toEqual([0, 1, 0])
  })

  test('wait for the answers of a long line, but not for one that has got short', async () => {
    let line = 0
    const { add, advance, broker, said } = startOutbox({ inHouse: () => line })
    broker('on')
    add(0)
    await advance(0)
    line = 10
    add(1)
    await advance(29)
    expect(said()).toEqual(['t0'])
    await advance(1)
    expect(said()).toEqual(['t1'])
    line = 1_000
    add(2)
    await advance(99)
    expect(said()).toEqual([])
    line = 1
    add(3)
    await advance(0)
    expect(said()).toEqual(['t2', 't3'])
  })

  test('copy the log into the file after a quarter minute without work, if it has grown', async () => {
    const { add, advance, broker, outbox, file } = startOutbox()
    broker('on')
    const size = (suffix: string) => statSync(`${file}${suffix}`).size
    for (let n = 0; n < 40; n += 1) {
      add(n)
      await advance(20)
    }
    await advance(2_000)
    outbox.acknowledged(8)
    expect(size('-wal')).toBeGreaterThan(100_000)
    await advance(30_000)
    expect(size('-wal')).toBe(0)
    add(41)
    await advance(30_000)
    expect(size('-wal')).toBeGreaterThan(0)
  })

  test('end the process when the file itself is broken', async () => {
    const { add, advance } = startOutbox({
      write: () => () => {
        throw Object.assign(new Error('malformed'), { code: 'SQLITE_CORRUPT' })
      },
    })
    add(1)
    await expect(advance(10)).rejects.toThrow('malformed')
  })
})
