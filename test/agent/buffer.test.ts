import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openBuffer } from '../../agent/outbox/buffer.ts'
import { BufferError, damageOf } from '../../agent/outbox/buffer-file.ts'
import type { Answer, Changes } from '../../agent/outbox/buffer-write.ts'
import { MIGRATIONS } from '../../agent/outbox/migrations.ts'
import { noticesOf } from '../../agent/outbox/set-aside.ts'
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
    expect(rig.verify(first)).toMatchObject({ seq: 1, prev: FIRST_PREV, boot: 'boot-1', chain: buffer.chain() })
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

  const Op = fc.record({
    tasks: fc.nat(3),
    samples: fc.nat(3),
    refusals: fc.nat(3),
    kib: fc.nat(6),
    puback: fc.nat(4),
    cut: fc.boolean(),
    ack: fc.boolean(),
    laterMin: fc.constantFrom(0, 0, 0, 5),
  })

  test('never costs a receipt, costs samples before refusals, and counts right, whatever comes in whatever order', () => {
    fc.assert(
      fc.property(fc.array(Op, { minLength: 5, maxLength: 40 }), (ops) => {
        const own = createRig()
        try {
          const capBytes = 64 * KIB
          let buffer = own.open({ capBytes })
          const origin = buffer.origin('boot', RUNTIME)
          const unacknowledged = new Set<string>()
          let made = 0
          const next = (): number => {
            made += 1
            return made
          }
          const loose = (): string[] => buffer.loose(0, 10_000).map(idOf)
          const inBatches = (): string[] => {
            const tasks: string[] = []
            for (let batch = buffer.nextBatch(0); batch; batch = buffer.nextBatch(batch.seq))
              tasks.push(...buffer.resultsOf(batch.seq).map(idOf))
            return tasks
          }
          for (const op of ops) {
            own.later(op.laterMin * 60_000)
            const before = loose()
            const owed = buffer.loose(0, 10_000)
            const pubacked = owed.filter(({ receipted }) => receipted === 0).slice(0, op.puback)
            const upTo = op.ack ? buffer.lastSeq() : undefined
            if (upTo !== undefined) for (const task of inBatches()) unacknowledged.delete(task)
            const answers = [
              ...Array.from({ length: op.tasks }, () => task(next(), origin, op.kib * KIB)),
              ...Array.from({ length: op.samples }, () => sample(next(), op.kib * KIB)),
              ...Array.from({ length: op.refusals }, () => refusal(next(), true, op.kib * KIB)),
            ]
            buffer.write({
              answers,
              pubacked: pubacked.map(({ seq }) => seq),
              cut: op.cut,
              ...(upTo !== undefined && { upTo }),
            })
            for (const answer of answers) if (answer.kind === 'task') unacknowledged.add(answer.task ?? '')
            const after = loose()
            const kept = [...after.filter((id) => id.startsWith('t')), ...inBatches()]
            expect(new Set(kept)).toEqual(unacknowledged)
            const paid = new Set(pubacked.map(idOf))
            const gone = before.filter((id) => !after.includes(id) && !paid.has(id) && !id.startsWith('t'))
            if (gone.some((id) => id.startsWith('r')))
              expect(after.filter((id) => id.startsWith('s') && before.includes(id))).toEqual([])
            expect(buffer.full()).toBe(buffer.bytes() > capBytes)
            if (buffer.full()) expect(after.filter((id) => !id.startsWith('t') && before.includes(id))).toEqual([])
          }
          const totals = () => [buffer.owed(), buffer.bytes(), buffer.uncut(), buffer.lastSeq(), buffer.full()]
          const counted = totals()
          buffer = own.open({ capBytes })
          expect(totals()).toEqual(counted)
        } finally {
          own.remove()
        }
      }),
      { numRuns: 40 },
    )
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
    expect(buffer.chain()).not.toBe(chain)
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

  /** Rows enough that not all of them are in memory, all of them in the file and none in its log. */
  function fill(buffer: ReturnType<typeof rig.open>): void {
    const origin = buffer.origin('boot', RUNTIME)
    for (let write = 0; write < 40; write += 1)
      buffer.write(add(...Array.from({ length: 50 }, (_, n) => task(write * 50 + n, origin, 500))))
    buffer.write(cut)
    buffer.rest()
  }

  function scribble(): void {
    const handle = openSync(rig.file, 'r+')
    for (let at = 100 * 1024; at < statSync(rig.file).size - 100 * 1024; at += 8 * 1024)
      writeSync(handle, Buffer.alloc(1024, 0x5a), 0, 1024, at)
    closeSync(handle)
  }

  test('damaged under a running agent is told by reads and writes alike, set aside at the next start, and a new chain begins', () => {
    const told: BufferError[] = []
    const buffer = rig.open({ onDamage: (error) => told.push(error) })
    const { chain } = buffer
    fill(buffer)
    scribble()
    expect(() => buffer.resultsOf(1)).toThrow(expect.objectContaining({ code: 'damaged' }))
    expect(() => {
      for (let n = 0; n < 2_000; n += 1) buffer.write({ ...none, upTo: n })
    }).toThrow(BufferError)
    expect(told.length).toBeGreaterThanOrEqual(2)
    const next = rig.open()
    expect(next.setAside?.reason).toBe('damaged')
    expect(next.chain()).not.toBe(chain)
    next.write(add(task(1, next.origin('boot', RUNTIME))))
    next.write(cut)
    expect(rig.verify(next.nextBatch(0)?.jws ?? '')).toMatchObject({ seq: 1, prev: FIRST_PREV, chain: next.chain() })
    expect(rig.open().setAside).toBeUndefined()
  })

  test('begins a new chain with all that no batch of the old one was acknowledged for', () => {
    const buffer = rig.open()
    const origin = buffer.origin('boot', RUNTIME)
    buffer.write(add(task(1, origin), task(2, origin)))
    buffer.write({ answers: [], pubacked: [], cut: true })
    buffer.write({ answers: [task(3, origin)], pubacked: [], upTo: 1, cut: false })
    buffer.write({ answers: [], pubacked: [], cut: true })
    const chain = buffer.chain()
    expect(buffer.nextBatch(0)?.seq).toBe(2)
    buffer.renew()
    expect({ last: buffer.lastSeq(), owed: buffer.owed(), uncut: buffer.uncut() }).toEqual({
      last: 0,
      owed: 1,
      uncut: 1,
    })
    buffer.write({ answers: [task(4, origin)], pubacked: [], cut: true })
    const batch = rig.verify(buffer.nextBatch(0)?.jws ?? '')
    expect(batch).toMatchObject({ seq: 1, prev: FIRST_PREV, items: [{ task: 't3' }] })
    expect(batch.chain).not.toBe(chain)
    expect(rig.open().chain()).toBe(batch.chain)
  })

  test('that read wrong once is kept when all of it is whole, and not trusted a second time', () => {
    const buffer = rig.open()
    buffer.write(add(task(1, buffer.origin('boot', RUNTIME))))
    buffer.close()
    writeFileSync(`${rig.file}.suspect`, 'once')
    const again = rig.open()
    expect(again.setAside).toBeUndefined()
    expect(again.chain()).toBe(buffer.chain())
    writeFileSync(`${rig.file}.suspect`, 'again')
    expect(rig.open().setAside?.reason).toBe('damaged')
    expect(rig.open().setAside).toBeUndefined()
  })

  test('that read wrong a year after it did so before is read as if for the first time', () => {
    const buffer = rig.open()
    buffer.close()
    const suspect = `${rig.file}.suspect`
    const damaged = new Database.SqliteError('wrong', 'SQLITE_CORRUPT')
    damageOf(rig.file, damaged, Date.now())
    damageOf(rig.file, damaged, Date.now() + 6 * 86_400_000)
    expect(readFileSync(suspect, 'utf8')).toBe('again')
    damageOf(rig.file, damaged, Date.now() + 365 * 86_400_000)
    expect(readFileSync(suspect, 'utf8')).toBe('once')
    expect(rig.open().chain()).toBe(buffer.chain())
  })

  test('does not grow with every start of the agent, and forgets nothing that a receipt still names', () => {
    const start = (n: number) => {
      const buffer = rig.open()
      buffer.write(add(task(n, buffer.origin(`boot ${n}`, RUNTIME))))
      buffer.write(cut)
      return buffer
    }
    for (let n = 1; n < 20; n += 1) {
      const buffer = start(n)
      buffer.write({ ...none, upTo: buffer.lastSeq() })
      rig.later(60 * 60_000)
      buffer.write(none)
    }
    start(20)
    const buffer = start(21)
    expect([20, 21].map((seq) => rig.verify(buffer.nextBatch(seq - 1)?.jws ?? '').boot)).toEqual(['boot 20', 'boot 21'])
    buffer.close()
    const db = new Database(rig.file)
    expect(db.prepare('SELECT boot FROM origins ORDER BY id').pluck().all()).toEqual(['boot 20', 'boot 21'])
    db.close()
  })

  test('set aside again and again never fills the card: three are kept, and the owner is told of them', () => {
    const removed: string[] = []
    for (let day = 0; day < 5; day += 1) {
      rig.open().close()
      writeFileSync(rig.file, 'not a database at all, but longer than a header would be '.repeat(20))
      removed.push(...(rig.open().setAside?.removed ?? []))
      rig.later(86_400_000)
    }
    expect(removed.map((file) => /damaged-(.*)T/.exec(file)?.[1])).toEqual(['2026-11-22', '2026-11-23'])
    const left = readdirSync(rig.folder).filter((name) => name.includes('.damaged-'))
    expect(left).toHaveLength(3)
    const notices = noticesOf(rig.file)
    expect(notices).toHaveLength(3)
    expect(notices[0]).toMatch(
      /^On 2026-11-26 the outbox was damaged and was set aside as buffer\.db\.damaged-2026-11-26/,
    )
  })

  test('set aside is kept within the size that the outbox may have, the newest whatever its size', () => {
    for (const bytes of [60_000, 50_000, 90_000]) {
      rig.open().close()
      writeFileSync(rig.file, 'x'.repeat(bytes))
      rig.open({ capBytes: 145_000 })
      rig.later(86_400_000)
    }
    const sizes = readdirSync(rig.folder)
      .filter((name) => name.includes('.damaged-'))
      .map((name) => statSync(join(rig.folder, name)).size)
    expect(sizes).toEqual([50_000, 90_000])
  })

  test('of the first layout is brought forward with all it owes, and its chain goes on', () => {
    rig.open().close()
    rmSync(rig.file)
    const old = new Database(rig.file)
    old.exec(MIGRATIONS[0] ?? '')
    old.pragma('user_version = 1')
    const hash = 'b'.repeat(64)
    const item = (n: number) => JSON.stringify(task(n, 1).receipt?.item)
    old.prepare('INSERT INTO file VALUES (1, ?, ?, 2, ?)').run(DEVICE, 'chain', hash)
    old.prepare('INSERT INTO origins VALUES (1, ?, ?)').run('boot', JSON.stringify(RUNTIME))
    old.prepare('INSERT INTO batches VALUES (2, 2, 3, ?, 0)').run('the second batch')
    const row = old.prepare(
      `INSERT INTO results VALUES (:seq, :kind, 'm', :task, :payload, 100, 0, :remembered, :origin, :item, :batch, :settled)`,
    )
    const state = (seq: number, batch: number | null, settled: number | null) =>
      row.run({
        ...{ seq, kind: 'task', task: `t${seq}`, payload: JSON.stringify({ id: `t${seq}` }), remembered: 1, origin: 1 },
        ...{ item: settled === null ? item(seq) : null, batch, settled },
      })
    state(1, null, Date.UTC(2026, 10, 22))
    state(2, 2, null)
    state(3, 2, null)
    state(4, null, null)
    row.run({
      ...{ seq: 5, kind: 'sample', task: null, payload: '{"id":"s5"}', remembered: 0, origin: null, item: null },
      ...{ batch: null, settled: null },
    })
    old.close()

    const buffer = rig.open()
    expect(buffer.setAside).toBeUndefined()
    expect(buffer.loose(0, 10).map(idOf)).toEqual(['t4', 's5'])
    expect(buffer.resultsOf(2).map(idOf)).toEqual(['t2', 't3'])
    expect(buffer.owed()).toBe(5)
    expect(buffer.answered('m', 't1')).toBeDefined()
    buffer.write(cut)
    expect(rig.verify(buffer.nextBatch(2)?.jws ?? '')).toMatchObject({ seq: 3, prev: hash, items: [{ task: 't4' }] })
    buffer.write({ ...none, upTo: 2 })
    expect(buffer.owed()).toBe(3)
    expect(rig.open().owed()).toBe(3)
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
