import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkPoison } from '../../agent/doctor/poison-check.ts'
import { createSuspects } from '../../agent/frames/suspects.ts'
import { POISON_ROWS, type PoisonTable } from '../../agent/outbox/poison.ts'
import { readRefused, writeRefused } from '../../agent/poison-file.ts'
import { createRig } from './buffer-rig.ts'

let rig: ReturnType<typeof createRig>
beforeEach(() => {
  rig = createRig()
})
afterEach(() => rig.remove())

const log = pino({ level: 'silent' })
const hex = (n: number): string => n.toString(16).padStart(64, '0')
const DAY_MS = 86_400_000

function job(n: number, model = hex(1)) {
  let reads = 0
  const data = new Uint8Array([n])
  return {
    pkg: { sha256: model },
    get frame() {
      reads += 1
      return { data }
    },
    /** How often its bytes were looked at. */
    reads: () => reads,
  }
}

describe('the suspects', () => {
  test('need two kills, of the same bytes, by the same model', () => {
    const suspects = createSuspects({ table: rig.open().poison, now: () => 1_000, log })
    expect(suspects.struck(job(1), 'hung', true)).toBe(1)
    expect(suspects.struck(job(2), 'hung', true)).toBe(1)
    expect(suspects.struck(job(1, hex(2)), 'hung', true)).toBe(1)
    expect(suspects.count()).toBe(0)
    expect(suspects.struck(job(1), 'died', true)).toBe(2)
    expect(suspects.poisonedBy(job(1))).toBe('died')
    expect([job(2), job(1, hex(2))].map(suspects.poisonedBy)).toEqual([undefined, undefined])
    expect(suspects.count()).toBe(1)
  })

  test('are not found guilty while another input may have done it', () => {
    const suspects = createSuspects({ table: rig.open().poison, now: () => 1_000, log })
    for (let n = 0; n < 5; n += 1) expect(suspects.struck(job(1), 'died', false)).toBe(1)
    expect(suspects.isSuspected(job(1))).toBe(true)
    expect(suspects.struck(job(1), 'died', true)).toBe(2)
    expect(suspects.struck(job(1), 'died', false)).toBe(2)
  })

  test('are cleared by any run that ends well, in memory and on disk', () => {
    const table = rig.open().poison
    const suspects = createSuspects({ table, now: () => 1_000, log })
    suspects.struck(job(1), 'died', true)
    suspects.cleared(job(2))
    expect(table.all()).toHaveLength(1)
    suspects.cleared(job(1))
    expect(table.all()).toEqual([])
    expect(suspects.struck(job(1), 'died', true)).toBe(1)
  })

  test('cost the others nothing: no frame is hashed for a model over which no process has died', () => {
    let now = 1_000
    const suspects = createSuspects({ table: rig.open().poison, now: () => now, log })
    const look = (one: ReturnType<typeof job>): number => {
      suspects.poisonedBy(one)
      suspects.isSuspected(one)
      suspects.cleared(one)
      return one.reads()
    }
    expect(look(job(3))).toBe(0)
    suspects.struck(job(1), 'died', true)
    expect(look(job(3, hex(9)))).toBe(0)
    expect(look(job(3))).toBe(1)
    now += DAY_MS
    look(job(3))
    expect(look(job(3)), 'nobody is suspected any more').toBe(0)
  })

  test('are forgiven a kill that was long ago', () => {
    let now = 1_000
    const suspects = createSuspects({ table: rig.open().poison, now: () => now, log })
    suspects.struck(job(1), 'hung', true)
    now += DAY_MS
    expect(suspects.struck(job(1), 'hung', true)).toBe(1)
    now += DAY_MS - 1
    expect(suspects.struck(job(1), 'hung', true)).toBe(2)
  })

  test('are known again after a restart, strikes and all', () => {
    const first = createSuspects({ table: rig.open().poison, now: () => 1_000, log })
    for (let n = 0; n < 2; n += 1) first.struck(job(1), 'hung', true)
    first.struck(job(2), 'hung', true)
    first.struck(job(3), 'hung', true)
    first.cleared(job(3))
    const second = createSuspects({ table: rig.open().poison, now: () => 2_000, log })
    expect(second.poisonedBy(job(1))).toBe('hung')
    expect(second.struck(job(2), 'hung', true)).toBe(2)
    expect(second.struck(job(3), 'hung', true)).toBe(1)
  })

  test('are bounded in memory and on disk: the oldest go', () => {
    let now = 1_000
    const table = rig.open().poison
    const suspects = createSuspects({ table, now: () => now, log })
    for (let n = 0; n < 2; n += 1) suspects.struck(job(0, hex(0)), 'hung', true)
    for (let n = 1; n <= POISON_ROWS; n += 1) {
      now += 1
      suspects.struck(job(7, hex(n)), 'hung', true)
    }
    expect(table.all()).toHaveLength(POISON_ROWS)
    expect(suspects.count()).toBe(0)
    expect(suspects.poisonedBy(job(0, hex(0)))).toBeUndefined()
  })

  test('are known until the agent ends when the disk does not take them', () => {
    const full: PoisonTable = { all: () => [], put: () => false, forget: () => false }
    const suspects = createSuspects({ table: full, now: () => 1_000, log })
    for (let n = 0; n < 2; n += 1) suspects.struck(job(1), 'hung', true)
    expect(suspects.poisonedBy(job(1))).toBe('hung')
  })
})

test('what is refused is told to the doctor, until nothing is', () => {
  const suspects = createSuspects({
    table: rig.open().poison,
    now: () => Date.UTC(2026, 10, 22),
    log,
    told: (rows) => writeRefused(rig.folder, rows),
  })
  expect(checkPoison(rig.folder)).toMatchObject({ state: 'ok' })
  for (let n = 0; n < 2; n += 1) suspects.struck(job(1), 'it ended (SIGSEGV)', true)
  expect(checkPoison(rig.folder)).toMatchObject({
    state: 'warn',
    says: '1 input is refused, the last since 2026-11-22: it ended (SIGSEGV)',
  })
  suspects.pardon(undefined)
  expect(readRefused(rig.folder)).toBeUndefined()
})
