// Rollouts over a real database, against random fleets: rings open in order, faults stop them, and a crash loses nothing.
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type SoftwareRelease, signSoftware } from '../../broker/protocol/software.ts'
import { openPublishers } from '../../console/registry/publishers.ts'
import { rawKeyOf } from '../../console/registry/registry.ts'
import { LOST_MS, type SeenBoard } from '../../console/software/decide.ts'
import { openSoftwareShelf } from '../../console/software/releases.ts'
import { ringOf } from '../../console/software/rings.ts'
import { openRollouts, type Rollouts } from '../../console/software/rollouts.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'

const { privateKey } = generateKeyPairSync('ed25519')
const START = Date.parse('2026-11-23T12:00:00Z')
const log = pino({ level: 'silent' })

type Fate = 'good' | 'fails' | 'off' | 'lost' | 'refuses' | 'other-arch' | 'too-old'

/** A board that does what it is told in its own way, one stage a turn. */
class Board {
  readonly id: string
  fate: Fate
  runs: string | undefined
  state: 'packaged' | 'trial' | 'confirmed' = 'packaged'
  wanted: NonNullable<NonNullable<SeenBoard['software']>['wanted']> | undefined
  private before: string | undefined
  readonly failed = new Set<string>()
  gone = false
  constructor(id: string, fate: Fate) {
    this.id = id
    this.fate = fate
  }

  seen(now: number): SeenBoard {
    const arch = this.fate === 'other-arch' ? 'amd64' : 'arm64'
    const online = this.fate !== 'off' && !this.gone
    const software = {
      version: this.runs ?? '0.1.0',
      arch,
      state: this.state,
      ...(this.runs !== undefined && { release: this.runs }),
      ...(this.wanted && { wanted: this.wanted }),
    } as const
    return { id: this.id, online, heardAt: online ? now : START, ...(this.fate !== 'too-old' && { software }) }
  }

  /** `told`: the digest that the console wishes it. */
  live(told: { version: string; release: string } | undefined): void {
    if (this.fate === 'off' || this.gone || this.fate === 'too-old') return
    if (!told || told.release === this.runs) {
      if (this.state === 'trial' && this.runs !== undefined) this.endTrial(this.runs)
      if (!told || told.release === this.runs) this.wanted = undefined
      return
    }
    if (this.fate === 'refuses') this.wanted = { ...told, state: 'refused', reason: 'no room' }
    else if (this.failed.has(told.release)) this.wanted = { ...told, state: 'rolled-back', reason: 'it crashed' }
    else if (this.wanted?.state === 'downloading') {
      this.before = this.state === 'confirmed' ? this.runs : undefined
      this.runs = told.release
      this.state = 'trial'
      this.wanted = undefined
      this.gone = this.fate === 'lost'
    } else this.wanted = { ...told, state: 'downloading', done: 0.5 }
  }

  private endTrial(release: string): void {
    if (this.fate !== 'fails') {
      this.state = 'confirmed'
      return
    }
    this.failed.add(release)
    this.runs = this.before
    this.state = this.before === undefined ? 'packaged' : 'confirmed'
  }
}

let folder: string
let store: Store
let now: number
let boards: Board[]
let rollouts: Rollouts
let digests: Map<string, string>
let shelf: Awaited<ReturnType<typeof openSoftwareShelf>>

async function open(): Promise<void> {
  const publishers = await openPublishers(store.db, () => now, 'software_publishers')
  shelf = await openSoftwareShelf({ db: store.db, publishers, now: () => now })
  await publishers.add({ id: 'maker', key: rawKeyOf(privateKey) })
  const seen = () => boards.map((board) => board.seen(now))
  const softwareOf = (device: string) => seen().find(({ id }) => id === device)?.software
  const changed = () => undefined
  rollouts = await openRollouts({ db: store.db, shelf, boards: seen, softwareOf, now: () => now, changed, log })
}

async function publish(version: string): Promise<void> {
  const release: SoftwareRelease = {
    software: 'bramble-agent',
    version,
    arch: 'arm64',
    publisher: 'maker',
    at: new Date(now).toISOString(),
    outbox: 3,
    files: [{ path: 'agent/main.js', sha256: 'a'.repeat(64), bytes: 1 }],
  }
  const jws = signSoftware(release, privateKey)
  const { digest } = await shelf.kind.keep({ ...shelf.kind.read(jws), jws })
  digests.set(version, digest)
}

const wishOf = (board: Board) => {
  const kept = rollouts.wantedBy(board.id, board.fate === 'other-arch' ? 'amd64' : 'arm64')
  return kept && { version: kept.release.version, release: kept.digest }
}

async function turn(ms = 60_000): Promise<void> {
  now += ms
  for (const board of boards) board.live(wishOf(board))
  await rollouts.turn()
}

async function settle(turns = 30): Promise<void> {
  for (let n = 0; n < turns; n += 1) await turn()
}

const fleet = (...fates: readonly Fate[]): Board[] => fates.map((fate, n) => new Board(`dev-${n}`, fate))
const enrol = async (): Promise<void> => {
  const { db } = store
  await db
    .insertInto('owners')
    .values({ id: 'ann', name: 'ann', created_at: now })
    .onConflict((c) => c.doNothing())
    .execute()
  for (const { id } of boards)
    await db
      .insertInto('devices')
      .values({ id, name: id, owner_id: 'ann', public_key: id, enrolled_at: now })
      .onConflict((c) => c.doNothing())
      .execute()
}
const newest = () => rollouts.list()[0]
const tryOf = (device: string) => rollouts.triesOf(newest()?.id ?? 0).get(device)

async function begin(): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'bramble-rollouts-'))
  store = await openDatabase(join(folder, 'console.db'))
  now = START
  boards = []
  digests = new Map()
  await open()
}
async function end(): Promise<void> {
  await store.close()
  await rm(folder, { recursive: true })
}

describe('a rollout', () => {
  beforeEach(begin)
  afterEach(end)

  it('reaches every board ring by ring, and is done', async () => {
    boards = fleet(...Array.from({ length: 40 }, () => 'good' as const))
    await enrol()
    await publish('1.0.0')
    await rollouts.start('1.0.0')
    expect(newest()?.canaries).toHaveLength(2)
    const switched = () => boards.filter(({ runs }) => runs !== undefined).length
    const seen: number[] = []
    for (let n = 0; n < 30 && newest()?.state !== 'done'; n += 1) {
      await turn()
      if (seen.at(-1) !== switched()) seen.push(switched())
    }
    expect(newest()?.state).toBe('done')
    expect(seen[1]).toBe(2)
    expect(seen.at(-1)).toBe(40)
    expect(seen.length).toBe(4)
  })

  it('stops at the first failure among the first boards, and tells nobody else', async () => {
    boards = fleet('fails', 'good', 'good', 'good')
    await enrol()
    await publish('1.0.0')
    await rollouts.start('1.0.0', ['dev-0'])
    await settle()
    expect(newest()).toMatchObject({ state: 'stopped', reason: expect.stringContaining('it crashed') })
    expect(boards.slice(1).every(({ runs }) => runs === undefined)).toBe(true)
    expect(boards.map(wishOf)).toEqual([undefined, undefined, undefined, undefined])
  })

  it('bears one failure in ten later, and stops at more', async () => {
    boards = fleet('good', ...Array.from({ length: 30 }, (_, n) => (n < 1 ? 'fails' : 'good') as Fate))
    await enrol()
    await publish('1.0.0')
    await rollouts.start('1.0.0', ['dev-0'])
    await settle()
    expect(newest()?.state).toBe('done')
    for (const board of boards.slice(5, 25)) board.fate = 'fails'
    await publish('1.1.0')
    await rollouts.start('1.1.0', ['dev-0'])
    await settle()
    expect(newest()?.state).toBe('stopped')
    const stayed = boards.filter(({ failed }) => failed.size > 0).map(wishOf)
    expect(new Set(stayed.map((wish) => wish?.version))).toEqual(new Set(['1.0.0', undefined]))
  })

  it('takes a board for failed that was not heard of for half an hour after it switched', async () => {
    boards = fleet('lost', 'good')
    await enrol()
    await publish('1.0.0')
    await rollouts.start('1.0.0', ['dev-0'])
    await settle(4)
    expect(tryOf('dev-0')?.state).not.toBe('failed')
    await turn(LOST_MS)
    expect(newest()?.state).toBe('stopped')
    expect(tryOf('dev-0')?.reason).toContain('not heard of')
  })

  it('is not held up by boards that are off, refuse it, or cannot run it; those that were off catch up', async () => {
    boards = fleet('good', 'off', 'refuses', 'other-arch', 'too-old', 'good')
    await enrol()
    await publish('1.0.0')
    await rollouts.start('1.0.0', ['dev-0'])
    await settle()
    expect(newest()?.state).toBe('done')
    expect(wishOf(boards[3] as Board)).toBeUndefined()
    await publish('1.1.0')
    await rollouts.start('1.1.0', ['dev-0'])
    await settle()
    const away = boards[1] as Board
    now += 30 * 86_400_000
    away.fate = 'good'
    await settle(5)
    expect(away).toMatchObject({ runs: digests.get('1.1.0'), state: 'confirmed' })
  })

  it('goes on after a stop where the operator says so, and boards that failed try again', async () => {
    boards = fleet('fails', 'good', 'good')
    await enrol()
    await publish('1.0.0')
    await rollouts.start('1.0.0', ['dev-0'])
    await settle()
    const first = boards[0] as Board
    first.fate = 'good'
    first.failed.clear()
    await rollouts.resume()
    await settle()
    expect(newest()?.state).toBe('done')
    expect(boards.every(({ state }) => state === 'confirmed')).toBe(true)
  })

  it('goes back to the version before, and refuses to where there is none', async () => {
    boards = fleet('good', 'good')
    await enrol()
    await publish('1.0.0')
    await rollouts.start('1.0.0')
    await settle()
    await expect(rollouts.rollBack()).rejects.toMatchObject({ code: 'wrong-state' })
    await publish('1.1.0')
    await rollouts.start('1.1.0')
    await settle()
    await rollouts.rollBack()
    await settle()
    expect(boards.map(({ runs }) => runs)).toEqual([digests.get('1.0.0'), digests.get('1.0.0')])
  })

  it('refuses a second one beside it, an unknown version, and a stranger among the first boards', async () => {
    boards = fleet('good')
    await enrol()
    await expect(rollouts.start('1.0.0')).rejects.toMatchObject({ code: 'unknown-release' })
    await publish('1.0.0')
    await expect(rollouts.start('1.0.0', ['dev-9'])).rejects.toMatchObject({ code: 'unknown-release' })
    await rollouts.start('1.0.0')
    await publish('1.1.0')
    await expect(rollouts.start('1.1.0')).rejects.toMatchObject({ code: 'wrong-state' })
    await expect(
      store.db
        .insertInto('software_rollouts')
        .values({ version: 'x', state: 'canary', ring: 0, canaries: '[]', started_at: 1, changed_at: 1 })
        .execute(),
    ).rejects.toThrow(/UNIQUE/)
  })
})

const FATES = fc.constantFrom<Fate>('good', 'good', 'good', 'good', 'fails', 'off', 'lost', 'refuses', 'other-arch')

describe('any rollout over any fleet', () => {
  it('opens no ring before the one within is whole, wishes nobody what it failed, and survives a restart at every turn', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(FATES, { minLength: 1, maxLength: 25 }),
        fc.array(fc.boolean(), { minLength: 25, maxLength: 25 }),
        async (fates, restarts) => {
          await begin()
          try {
            boards = fleet(...fates)
            await enrol()
            await publish('1.0.0')
            const begun = await rollouts.start('1.0.0').catch(() => undefined)
            if (!begun) return
            for (const restart of restarts) {
              const before = newest()
              await turn()
              if (restart) await open()
              check(before)
            }
            checkEnd()
          } finally {
            await end()
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})

function check(before: ReturnType<typeof newest>): void {
  const after = newest()
  if (!before || !after) throw new Error('the rollout is gone')
  // Nobody runs what its ring has not got, and nobody is wished what it failed.
  for (const board of boards) {
    const ring = ringOf(board.id, after)
    if (ring > after.ring) expect(board.runs).toBeUndefined()
    if (tryOf(board.id)?.state === 'failed') expect(wishOf(board)).toBeUndefined()
  }
  if (after.ring > before.ring)
    for (const board of boards)
      if (ringOf(board.id, after) <= before.ring && board.seen(now).online && board.fate !== 'other-arch')
        expect(['confirmed', 'refused', 'failed']).toContain(tryOf(board.id)?.state)
  if (before.state === 'stopped') expect(after.state).toBe('stopped')
}

/** In a fleet of the good everybody who is there has it; where the first boards failed nobody else has. */
function checkEnd(): void {
  const after = newest()
  if (boards.every(({ fate }) => fate === 'good')) {
    expect(after?.state).toBe('done')
    for (const board of boards) expect(board.state).toBe('confirmed')
  }
  const canaries = boards.filter(({ id }) => after?.canaries.includes(id))
  if (canaries.some(({ fate }) => fate === 'fails')) expect(after?.state).toBe('stopped')
}
