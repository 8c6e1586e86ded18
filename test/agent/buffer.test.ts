import { readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openBuffer } from '../../agent/outbox/buffer.ts'
import type { Answer, Changes } from '../../agent/outbox/buffer-write.ts'
import { FIRST_PREV, hashOfBatch } from '../../broker/protocol/receipts.ts'
import { createRig, DEVICE, idOf, RUNTIME, refusal, sample, task } from './buffer-rig.ts'

let rig: ReturnType<typeof createRig>
beforeEach(() => {
  rig = createRig()
})
afterEach(() => rig.remove())

const none: Changes = { answers: [], pubacked: [], cut: false }
const add = (...answers: Answer[]): Changes => ({ ...none, answers })
const cut: Changes = { ...none, cut: true }

describe('the buffer', () => {
  test('owes a task until the console acknowledges its batch, whatever was PUBACKed', () => {
    const buffer = rig.open()
    const { seqs } = buffer.write(add(task(1, buffer.origin('boot', RUNTIME))))
    buffer.write({ ...none, pubacked: seqs })
    expect(buffer.loose(0, 10).map(idOf)).toEqual(['t1'])
    buffer.write(cut)
    expect(buffer.owed()).toBe(2)
    buffer.write({ ...none, upTo: 1 })
    expect(buffer.owed()).toBe(0)
    expect(buffer.nextBatch(0)).toBeUndefined()
    expect(rig.open().owed()).toBe(0)
  })

  test('owes samples, refusals and tasks without a receipt only until their PUBACK', () => {
    const buffer = rig.open()
    const { receipt: _, ...plain } = task(1, 0)
    const { seqs } = buffer.write(add(sample(1), refusal(1), plain))
    expect(buffer.owed()).toBe(3)
    buffer.write({ ...none, pubacked: seqs })
    expect(buffer.owed()).toBe(0)
    expect(buffer.loose(0, 10)).toEqual([])
  })

  test('answers a repeated task id from memory for ten minutes, but tries again what was only busy', () => {
    const buffer = rig.open()
    const { seqs } = buffer.write(add(refusal(1), refusal(2, false)))
    buffer.write({ ...none, pubacked: seqs })
    expect(idOf(buffer.answered('m', 'r1') ?? { payload: '{}' })).toBe('r1')
    expect(buffer.answered('m', 'r2')).toBeUndefined()
    expect(buffer.answered('other', 'r1')).toBeUndefined()
    rig.later(10 * 60_000 + 1)
    buffer.write(none)
    expect(buffer.answered('m', 'r1')).toBeUndefined()
    expect(buffer.bytes()).toBe(0)
  })

  test('signs batches that verify, chained over restarts, each naming the boot and runtime of its runs', () => {
    let buffer = rig.open()
    buffer.write(add(task(1, buffer.origin('boot-1', RUNTIME)), task(2, buffer.origin('boot-1', RUNTIME))))
    buffer = rig.open()
    buffer.write(add(task(3, buffer.origin('boot-2', { ...RUNTIME, cpu: 'arm64' }))))
    buffer.write(cut)
    const first = buffer.nextBatch(0)?.jws ?? ''
    const second = buffer.nextBatch(1)?.jws ?? ''
    expect(rig.verify(first)).toMatchObject({ seq: 1, prev: FIRST_PREV, boot: 'boot-1', chain: buffer.chain })
    expect(rig.verify(first).items.map((item) => item.task)).toEqual(['t1', 't2'])
    expect(rig.verify(second)).toMatchObject({
      seq: 2,
      prev: hashOfBatch(first),
      boot: 'boot-2',
      runtime: { cpu: 'arm64' },
    })
    buffer.write({ ...none, upTo: 2 })
    buffer = rig.open()
    buffer.write(add(task(4, buffer.origin('boot-3', RUNTIME))))
    buffer.write(cut)
    expect(rig.verify(buffer.nextBatch(0)?.jws ?? '')).toMatchObject({ seq: 3, prev: hashOfBatch(second) })
  })

  test('puts at most 100 runs in a batch and goes on with the rest', () => {
    const buffer = rig.open()
    const origin = buffer.origin('boot', RUNTIME)
    buffer.write(add(...Array.from({ length: 250 }, (_, n) => task(n, origin))))
    buffer.write(cut)
    const sizes = [1, 2, 3].map((seq) => rig.verify(buffer.nextBatch(seq - 1)?.jws ?? '').items.length)
    expect(sizes).toEqual([100, 100, 50])
    expect(buffer.uncut()).toBe(0)
  })

  test('changes nothing when a write fails', () => {
    const buffer = rig.open()
    buffer.write(add(refusal(1)))
    const before = [buffer.owed(), buffer.bytes()]
    expect(() => buffer.write(add(sample(1), refusal(1)))).toThrow(/UNIQUE/)
    expect([buffer.owed(), buffer.bytes()]).toEqual(before)
    expect(buffer.loose(0, 10).map(idOf)).toEqual(['r1'])
  })
})

describe('the byte cap', () => {
  const KIB = 1024

  test('drops remembered answers first, then samples, then refusals, and never a task with a receipt', () => {
    const buffer = rig.open({ capBytes: 40 * KIB })
    const origin = buffer.origin('boot', RUNTIME)
    const [done = 0] = buffer.write(add(refusal(0, true, 8 * KIB))).seqs
    buffer.write({ ...add(sample(1, 8 * KIB), refusal(1, true, 8 * KIB), task(1, origin, 8 * KIB)), pubacked: [done] })
    const left = () => [...buffer.loose(0, 10).map(idOf), ...(buffer.answered('m', 'r0') ? ['r0'] : [])]
    expect(left()).toEqual(['s1', 'r1', 't1', 'r0'])
    expect(buffer.write(add(task(2, origin, 8 * KIB))).evicted).toBe(0)
    expect(left()).toEqual(['s1', 'r1', 't1', 't2'])
    expect(buffer.write(add(task(3, origin, 8 * KIB))).evicted).toBe(1)
    expect(left()).toEqual(['r1', 't1', 't2', 't3'])
    buffer.write(add(task(4, origin, 8 * KIB)))
    expect(left()).toEqual(['t1', 't2', 't3', 't4'])
    expect(buffer.full()).toBe(false)
    buffer.write(add(task(5, origin, 8 * KIB)))
    expect(left()).toEqual(['t1', 't2', 't3', 't4', 't5'])
    expect(buffer.full()).toBe(true)
  })

  test('opens again once the console took what was owed', () => {
    const buffer = rig.open({ capBytes: 20 * KIB })
    const origin = buffer.origin('boot', RUNTIME)
    buffer.write(add(task(1, origin, 9 * KIB), task(2, origin, 12 * KIB)))
    buffer.write(cut)
    expect(buffer.full()).toBe(true)
    buffer.write({ ...none, upTo: 1 })
    expect(buffer.full()).toBe(false)
  })

  test('counts what is in the file the same after a restart', () => {
    const before = rig.open()
    before.write(add(task(1, before.origin('boot', RUNTIME)), sample(1), refusal(1)))
    before.write(cut)
    const totals = [before.owed(), before.bytes(), before.uncut(), before.lastSeq()]
    const after = rig.open()
    expect([after.owed(), after.bytes(), after.uncut(), after.lastSeq()]).toEqual(totals)
  })
})

describe('the file', () => {
  test('is set aside under a dated name when it is damaged, and a new chain begins', () => {
    const { chain } = rig.open()
    rig.open().close()
    writeFileSync(rig.file, 'not a database at all, but longer than a header would be '.repeat(20))
    const buffer = rig.open()
    expect(buffer.setAside).toMatchObject({
      reason: 'damaged',
      file: expect.stringMatching(/buffer\.db\.damaged-2026-11-22T/),
    })
    expect(buffer.chain).not.toBe(chain)
    expect(buffer.owed()).toBe(0)
    expect(readdirSync(rig.folder).some((name) => name.startsWith('buffer.db.damaged-2026-11-22T'))).toBe(true)
  })

  test('is set aside when its pages are torn inside', () => {
    const buffer = rig.open()
    buffer.write(add(...Array.from({ length: 200 }, (_, n) => sample(n, 500))))
    buffer.close()
    const { size } = statSync(rig.file)
    truncateSync(rig.file, Math.floor(size / 2 / 4096) * 4096)
    expect(rig.open().setAside?.reason).toBe('damaged')
  })

  test('of another device is set aside: its receipts cannot be signed by this key', () => {
    const other = rig.open({ device: 'dev-bbbbbbbbbbbbbbbb' })
    other.write(add(sample(1)))
    expect(rig.open().setAside?.reason).toBe('other-device')
    expect(rig.open().setAside).toBeUndefined()
  })

  test('written by a newer agent is refused and left as it is', () => {
    rig.open().close()
    const db = new Database(rig.file)
    db.pragma('user_version = 99')
    db.close()
    expect(() => rig.open()).toThrow(expect.objectContaining({ code: 'newer' }))
    expect(readdirSync(rig.folder).every((name) => !name.includes('damaged'))).toBe(true)
  })

  test('is durable and closed to others', () => {
    const buffer = rig.open()
    expect(statSync(rig.file).mode & 0o777).toBe(0o600)
    expect(statSync(join(rig.folder, 'buffer.db-wal')).mode & 0o777).toBe(0o600)
    expect(() => openBuffer({ ...rig, device: DEVICE, capBytes: 1 << 30, now: Date.now })).toThrow(
      expect.objectContaining({ code: 'in-use' }),
    )
    buffer.close()
    const db = new Database(rig.file)
    expect(db.pragma('journal_mode', { simple: true })).toBe('wal')
    db.close()
  })
})
