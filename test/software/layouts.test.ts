// A new layout of the outbox comes in two releases: one that reads it, and one that writes it. Boards that judge as real ones do are
// led through both, however long they were off.
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { judge } from '../../agent/software/judging.ts'
import type { SoftwareState } from '../../broker/protocol/messages.ts'
import { type SoftwareRelease, signSoftware } from '../../broker/protocol/software.ts'
import { openPublishers } from '../../console/registry/publishers.ts'
import { rawKeyOf } from '../../console/registry/registry.ts'
import type { SeenBoard } from '../../console/software/decide.ts'
import { openSoftwareShelf, type SoftwareShelf } from '../../console/software/releases.ts'
import { openRollouts, type Rollouts } from '../../console/software/rollouts.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'

const { privateKey } = generateKeyPairSync('ed25519')
const keys = new Map([['maker', rawKeyOf(privateKey)]])
const log = pino({ level: 'silent' })
/** By version: the layout that it writes, and the highest that it reads. */
const LAYOUTS: Readonly<Record<string, readonly [writes: number, reads: number]>> = {
  '1.0.0': [1, 1],
  '1.1.0': [1, 1],
  '2.0.0': [1, 2],
  '2.5.0': [1, 1],
  '3.0.0': [2, 2],
}

class Board {
  readonly id: string
  online = true
  /** For ever, over a bad line. */
  downloads = false
  version = '1.0.0'
  release: string | undefined
  wanted: SoftwareState['wanted']
  readonly ran: string[] = []
  /** Those of before this was told do not tell it. */
  private readonly tells: boolean
  constructor(id: string, tells = true) {
    this.id = id
    this.tells = tells
  }

  get reads(): number {
    return LAYOUTS[this.version]?.[1] ?? 0
  }
  software(): SoftwareState {
    return {
      version: this.version,
      arch: 'arm64',
      state: this.release === undefined ? 'packaged' : 'confirmed',
      ...(this.tells && { outboxReads: this.reads }),
      ...(this.release !== undefined && { release: this.release }),
      ...(this.wanted && { wanted: this.wanted }),
    }
  }
  seen = (): SeenBoard => ({ id: this.id, online: this.online, heardAt: now, software: this.software() })

  async live(): Promise<void> {
    const kept = rollouts.wantedBy(this.id, 'arm64')
    this.wanted = undefined
    if (!this.online || !kept || kept.digest === this.release) return
    const wish = { version: kept.release.version, release: kept.digest }
    const judged = judge((await shelf.jws(kept.digest)) ?? '', wish, { arch: 'arm64', keys, outboxReads: this.reads })
    if (this.downloads) this.wanted = { ...wish, state: 'downloading' }
    else if (!judged.ok) this.wanted = { ...wish, state: 'refused', reason: judged.reason }
    else {
      this.version = wish.version
      this.release = wish.release
      this.ran.push(wish.version)
    }
  }
}

let folder: string
let store: Store
let shelf: SoftwareShelf
let rollouts: Rollouts
let boards: Board[]
let now: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bramble-layouts-'))
  store = await openDatabase(join(folder, 'console.db'))
  now = Date.parse('2026-11-23T12:00:00Z')
  boards = [new Board('dev-0'), new Board('dev-1'), new Board('dev-2')]
  await store.db.insertInto('owners').values({ id: 'ann', name: 'ann', created_at: now }).execute()
  for (const { id } of boards)
    await store.db
      .insertInto('devices')
      .values({ id, name: id, owner_id: 'ann', public_key: id, enrolled_at: now })
      .execute()
  const publishers = await openPublishers(store.db, () => now, 'software_publishers')
  await publishers.add({ id: 'maker', key: rawKeyOf(privateKey) })
  shelf = await openSoftwareShelf({ db: store.db, publishers, now: () => now })
  rollouts = await openRollouts({
    db: store.db,
    shelf,
    boards: () => boards.map((board) => board.seen()),
    softwareOf: (device) => boards.find(({ id }) => id === device)?.software(),
    now: () => now,
    changed: () => undefined,
    log,
  })
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

async function publish(version: string): Promise<void> {
  const release: SoftwareRelease = {
    software: 'bramble-agent',
    version,
    arch: 'arm64',
    publisher: 'maker',
    at: new Date(now).toISOString(),
    outbox: LAYOUTS[version]?.[0] ?? 0,
    files: [
      { path: 'agent/main.js', sha256: 'a'.repeat(64), bytes: 1 },
      { path: 'node', sha256: 'b'.repeat(64), bytes: 1, run: true },
    ],
  }
  const jws = signSoftware(release, privateKey)
  await shelf.kind.keep({ ...shelf.kind.read(jws), jws })
}

async function settle(): Promise<void> {
  for (let n = 0; n < 12; n += 1) {
    now += 60_000
    for (const board of boards) await board.live()
    await rollouts.turn()
  }
}

async function rollOut(version: string): Promise<void> {
  await publish(version)
  await rollouts.start(version, ['dev-0'])
  await settle()
}

describe('a board that missed the version which reads a new layout', () => {
  it('runs that one first, and then the newest', async () => {
    const late = boards[2]!
    await rollOut('1.1.0')
    late.online = false
    await rollOut('2.0.0')
    await rollOut('3.0.0')
    expect(boards.map(({ version }) => version)).toEqual(['3.0.0', '3.0.0', '1.1.0'])
    expect(rollouts.list()[0]?.state).toBe('done')
    late.online = true
    await settle()
    expect(late.ran).toEqual(['1.1.0', '2.0.0', '3.0.0'])
    expect(rollouts.triesOf(rollouts.list()[0]!.id).get('dev-2')?.state).toBe('confirmed')
  })

  it('holds up nobody while it is still on its way', async () => {
    const late = boards[2]!
    late.downloads = true
    await rollOut('2.0.0')
    late.online = false
    await settle()
    late.online = true
    await rollOut('3.0.0')
    expect(rollouts.list()[0]?.state).toBe('done')
    late.downloads = false
    await settle()
    expect(late.ran).toEqual(['2.0.0', '3.0.0'])
  })

  it('is told the newest where there is no step to it, and says why it stays as it is', async () => {
    await rollOut('1.1.0')
    await publish('3.0.0')
    await rollouts.start('3.0.0', ['dev-0'])
    await settle()
    expect(boards.map(({ version }) => version)).toEqual(['1.1.0', '1.1.0', '1.1.0'])
    expect(rollouts.triesOf(rollouts.list()[0]!.id).get('dev-0')).toMatchObject({
      state: 'refused',
      reason: expect.stringContaining('first it needs a version that reads layout 2'),
    })
  })

  it('is not led there by an older version than it runs', async () => {
    await rollOut('1.1.0')
    Object.assign(boards[0]!, { version: '2.5.0', release: undefined })
    await publish('3.0.0')
    await rollouts.start('3.0.0', ['dev-0'])
    await settle()
    expect(boards[0]).toMatchObject({ version: '2.5.0', wanted: { version: '3.0.0', state: 'refused' } })
  })

  it('judges by itself where it does not say what it reads', async () => {
    boards[0] = new Board('dev-0', false)
    await publish('3.0.0')
    await rollouts.start('3.0.0', ['dev-0'])
    await settle()
    expect(boards[0]).toMatchObject({ version: '1.0.0', wanted: { state: 'refused', version: '3.0.0' } })
  })
})
