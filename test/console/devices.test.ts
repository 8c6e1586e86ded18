import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HeartbeatMessage, InfoMessage, VitalsMessage } from '../../broker/protocol/messages.ts'
import type { Change } from '../../console/events.ts'
import { createDevices, type Devices } from '../../console/fleet/devices.ts'
import { createBoardViews } from '../../console/routes/views/boards.ts'
import { openDatabase, type Store } from '../../console/store/open.ts'

const HEARTBEAT: HeartbeatMessage = {
  at: '2026-11-22T12:00:00.000Z',
  upS: 60,
  queue: 2,
  rate: 4.5,
  in: 10,
  answered: 8,
  refused: 0,
  drops: {},
  outbox: 0,
  memMiB: 120,
  freeMiB: 300,
}

const INFO: InfoMessage = {
  device: 'dev-a',
  name: 'calm-teal-owl',
  boot: 'first',
  at: '2026-11-22T12:00:00.000Z',
  version: '0.1.0',
  board: { model: 'test', arch: 'arm64', cpus: 4, memMiB: 429 },
  runtime: { ort: '1.30.0', provider: 'cpu', cpu: 'arm64', decoder: 'none', flags: [] },
  models: [],
  limits: { payloadBytes: 1_048_576, queuedFrames: 64 },
}

const VITALS: VitalsMessage = {
  at: '2026-11-22T12:00:00.000Z',
  temperatures: [{ zone: 'cpu-thermal', c: 51.2 }],
  memory: { totalMiB: 429, freeMiB: 200 },
  host: { restarts: 1, crashes: 1, timeouts: 0, recycled: 0, poisoned: 0, unloads: 0, waitedForLoad: 0 },
}

describe('the boards', () => {
  let folder: string
  let store: Store
  let devices: Devices
  let now = Date.parse('2026-11-22T12:00:00Z')
  const changes: Change[] = []
  const gone: string[] = []
  const open = () =>
    createDevices({
      db: store.db,
      now: () => now,
      emit: (change) => changes.push(change),
      onGone: (device) => gone.push(device),
    })
  const stateOf = (id: string): string => devices.presenceOf(devices.get(id)!).state

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bramble-devices-'))
    store = await openDatabase(join(folder, 'console.db'))
    await store.db.insertInto('owners').values({ id: 'demo', name: 'demo', created_at: now }).execute()
    const board = { id: 'dev-a', name: 'calm-teal-owl', owner_id: 'demo', public_key: 'key', enrolled_at: now }
    await store.db.insertInto('devices').values(board).execute()
    devices = await open()
    changes.length = 0
    gone.length = 0
  })
  afterEach(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })

  it('that will not come back are removed for good, unless they are connected', async () => {
    devices.status('dev-a', 'online', false)
    devices.heartbeat('dev-a', HEARTBEAT)
    expect(await devices.remove('dev-a')).toBe('connected')
    now += 60_000
    devices.status('dev-a', 'offline', false)
    expect(await devices.remove('dev-a')).toBe('removed')
    expect(await devices.remove('dev-a')).toBe('unknown')
    expect(devices.heartbeat('dev-a', HEARTBEAT), 'what it says is a stranger’s').toBe(false)
    await devices.turn()
    expect([devices.list(), (await open()).list()]).toEqual([[], []])
  })

  it('show why they cannot work, and nothing that a silent one told as if it were so now', async () => {
    const tasks = { list: async () => [] }
    const receipts = { earned: async () => new Map(), ofDevice: async () => [] }
    const { list } = createBoardViews({ db: store.db, devices, tasks, receipts })
    const now_ = { tempC: 84, energy: { j: 0.5, from: 'measured' } } as const
    devices.status('dev-a', 'online', false)
    devices.heartbeat('dev-a', { ...HEARTBEAT, ...now_, flags: ['throttled'], idle: 'disk-failing' })
    expect((await list())[0]).toMatchObject({ ...now_, state: 'idle', idle: 'disk-failing', memMiB: 120, rate: 4.5 })
    now += 60_000
    devices.status('dev-a', 'offline', false)
    const [silent] = await list()
    expect(silent).toMatchObject({ state: 'offline', rate: 0 })
    for (const key of ['tempC', 'energy', 'memMiB', 'flags', 'idle']) expect(silent).not.toHaveProperty(key)
  })

  it('are new, then idle, then working, and every change of state is told once', () => {
    expect(stateOf('dev-a')).toBe('new')
    devices.status('dev-a', 'online', false)
    expect(stateOf('dev-a')).toBe('idle')
    devices.answered('dev-a')
    expect(stateOf('dev-a')).toBe('working')
    devices.answered('dev-a')
    expect(changes).toEqual([
      { about: 'device', id: 'dev-a' },
      { about: 'device', id: 'dev-a' },
    ])
  })

  it('are told of as soon as they are in, before they have said a word', () => {
    devices.add({ id: 'dev-b', name: 'new', ownerId: 'demo', publicKey: 'key b', clocks: {}, history: [] })
    expect(changes).toEqual([{ about: 'device', id: 'dev-b' }])
    expect(stateOf('dev-b')).toBe('new')
  })

  it('are late and then gone by the clock alone, and their leases are given up', async () => {
    devices.status('dev-a', 'online', false)
    devices.heartbeat('dev-a', HEARTBEAT)
    now += 80_000
    await devices.turn()
    expect(stateOf('dev-a')).toBe('late')
    expect(gone).toEqual([])
    now += 300_000
    await devices.turn()
    expect(stateOf('dev-a')).toBe('offline')
    await devices.turn()
    expect(gone).toEqual(['dev-a'])
  })

  it('are gone at once when they say so', () => {
    devices.status('dev-a', 'online', false)
    devices.status('dev-a', 'offline', false)
    expect(gone).toEqual(['dev-a'])
  })

  it('no longer have what they were given before they started anew', async () => {
    const info = (boot: string) => ({ ...INFO, boot })
    devices.info('dev-a', info('first'))
    await devices.turn()
    devices = await open()
    gone.length = 0
    devices.info('dev-a', info('first'))
    expect(gone).toEqual([])
    devices.info('dev-a', info('second'))
    expect(gone).toEqual(['dev-a'])
    devices.info('dev-b', info('first'))
    expect(gone).toEqual(['dev-a'])
  })

  it('come back as they were, but nobody counts as connected before it was heard', async () => {
    devices.status('dev-a', 'online', false)
    devices.heartbeat('dev-a', HEARTBEAT)
    await devices.turn()
    devices = await open()
    expect(devices.get('dev-a')).toMatchObject({ heartbeat: HEARTBEAT, clocks: { heartbeatAt: now } })
    expect(stateOf('dev-a')).toBe('offline')
    // As the broker repeats it when the console subscribes.
    devices.status('dev-a', 'online', true)
    expect(stateOf('dev-a')).toBe('idle')
  })

  it('keep their last vitals through a restart of the console, and tell that they are new', async () => {
    expect(devices.vitals('dev-a', VITALS)).toBe(true)
    expect(changes).toEqual([{ about: 'device', id: 'dev-a' }])
    await devices.turn()
    devices = await open()
    expect(devices.get('dev-a')?.vitals).toEqual(VITALS)
  })

  it('keep the time of a status that the broker only repeats', () => {
    const left = now
    devices.status('dev-a', 'offline', false)
    now += 60_000
    devices.status('dev-a', 'offline', true)
    expect(devices.get('dev-a')?.clocks.mqtt).toEqual({ state: 'offline', at: left })
  })

  it('are not made by whoever sends a message', () => {
    expect(devices.status('dev-b', 'online', false)).toBe(false)
    expect(devices.heartbeat('dev-b', HEARTBEAT)).toBe(false)
    expect(devices.vitals('dev-b', VITALS)).toBe(false)
    expect(devices.answered('dev-b')).toBe(false)
    expect(devices.list()).toHaveLength(1)
  })

  it('remember twelve hours of heartbeats', () => {
    for (let beat = 0; beat < 1500; beat++) {
      now += 30_000
      devices.heartbeat('dev-a', { ...HEARTBEAT, queue: beat })
    }
    const history = devices.get('dev-a')?.history ?? []
    expect(history).toHaveLength(1440)
    expect(history.at(-1)).toMatchObject({ at: now, queue: 1499, rate: 4.5, memMiB: 120 })
    expect(history.at(-1)).not.toHaveProperty('energy')
    devices.heartbeat('dev-a', { ...HEARTBEAT, energy: { j: 0.12, from: 'measured' } })
    expect(devices.get('dev-a')?.history.at(-1)).toMatchObject({ energy: { j: 0.12, from: 'measured' } })
  })
})
