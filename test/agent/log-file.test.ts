import { closeSync, copyFileSync, openSync, statSync, utimesSync, writeSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openBuffer } from '../../agent/outbox/buffer.ts'
import type { BufferError } from '../../agent/outbox/buffer-file.ts'
import type { Answer, Changes } from '../../agent/outbox/buffer-write.ts'
import { createRig, DEVICE, idOf, RUNTIME, refusal, task } from './buffer-rig.ts'

let rig: ReturnType<typeof createRig>
beforeEach(() => {
  rig = createRig()
})
afterEach(() => rig.remove())

const OLD = new Date(0)
const wal = () => `${rig.file}-wal`
const add = (...answers: Answer[]): Changes => ({ answers, pubacked: [], cut: false })

describe('what is not on disk yet', () => {
  /** A disk that is done, or not, when the test says so. */
  function openSlow(onDamage?: (error: BufferError) => void) {
    const waiting: ((error: Error | null) => void)[] = []
    const buffer = rig.open({ syncFile: (_, done) => void waiting.push(done), ...(onDamage && { onDamage }) })
    const told: unknown[] = []
    return {
      buffer,
      told,
      sync: () => buffer.sync((error) => told.push(error ?? 'on disk')),
      disk: (error: Error | null = null) => waiting.shift()?.(error),
    }
  }

  test('is neither a row nor a batch to anybody', () => {
    const { buffer, told, sync, disk } = openSlow()
    const origin = buffer.origin('boot', RUNTIME)
    const seen = () => ({
      loose: buffer.loose(0, 9).map(idOf),
      last: buffer.lastRow(),
      batch: buffer.nextBatch(0)?.seq,
    })
    buffer.write(add(task(1, origin)))
    sync()
    expect([seen(), told]).toEqual([{ loose: [], last: 0, batch: undefined }, []])
    disk()
    expect([seen(), told]).toEqual([{ loose: ['t1'], last: 1, batch: undefined }, ['on disk']])
    buffer.write({ ...add(task(2, origin)), cut: true })
    sync()
    expect([seen(), buffer.lastSeq()]).toEqual([{ loose: ['t1'], last: 1, batch: undefined }, 0])
    expect(buffer.inBatch({ seq: 1, receipted: 1 })).toBe(false)
    disk()
    expect([seen(), buffer.lastSeq()]).toEqual([{ loose: ['t2'], last: 2, batch: 1 }, 1])
    expect(buffer.inBatch({ seq: 1, receipted: 1 })).toBe(true)
  })

  test('is written once more where the disk failed, before anything else is: it would take it for written', () => {
    const { buffer, told, sync, disk } = openSlow()
    buffer.write(add(refusal(1)))
    sync()
    utimesSync(wal(), OLD, OLD)
    disk(new Error('EIO'))
    expect(told).toEqual([new Error('EIO')])
    expect(statSync(wal()).mtimeMs).toBeGreaterThan(0)
    expect(buffer.loose(0, 9).map(idOf)).toEqual(['r1'])
  })

  test('and is lost in memory too, is damage: the next start goes on from what is whole', () => {
    const damage: BufferError[] = []
    const { buffer, told, sync, disk } = openSlow((error) => damage.push(error))
    buffer.write(add(refusal(1)))
    sync()
    disk()
    const { size } = statSync(wal())
    buffer.write(add(refusal(2)))
    sync()
    const handle = openSync(wal(), 'r+')
    writeSync(handle, Buffer.alloc(1024, 0x5a), 0, 1024, size + 24)
    closeSync(handle)
    disk(new Error('EIO'))
    expect(told).toEqual(['on disk', damage[0]])
    expect(damage[0]).toMatchObject({ code: 'damaged' })
    expect(buffer.loose(0, 9).map(idOf)).toEqual(['r1'])
    const next = rig.open()
    expect(next.setAside).toBeUndefined()
    expect(next.loose(0, 9).map(idOf)).toEqual(['r1'])
  })

  test('when a process is killed is brought there by the next one, before it says anything', () => {
    rig.open().write(add(refusal(1)))
    const left = createRig()
    for (const end of ['', '-wal']) {
      copyFileSync(`${rig.file}${end}`, `${left.file}${end}`)
      utimesSync(`${left.file}${end}`, OLD, OLD)
    }
    const next = left.open()
    expect(next.loose(0, 9).map(idOf)).toEqual(['r1'])
    expect(statSync(`${left.file}-wal`).mtimeMs).toBeGreaterThan(0)
    expect(statSync(left.file).mtimeMs).toBe(0)
    left.remove()
  })

  test('is not touched by a second agent on the folder, which is refused', () => {
    rig.open().write(add(refusal(1)))
    utimesSync(wal(), OLD, OLD)
    expect(() => openBuffer({ ...rig, device: DEVICE, capBytes: 1 << 30, now: Date.now })).toThrow(
      expect.objectContaining({ code: 'in-use' }),
    )
    expect(statSync(wal()).mtimeMs).toBe(0)
  })
})
