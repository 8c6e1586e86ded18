// Every enrolled board as the console knows it: what it says of itself and its three clocks. Memory is what is asked;
// the database is written once per turn, so a thousand heartbeats cost one transaction.
import type { Kysely } from 'kysely'
import type { HeartbeatMessage, InfoMessage, StatusMessage, VitalsMessage } from '../../broker/protocol/messages.ts'
import type { Change } from '../events.ts'
import type { Database } from '../store/schema.ts'
import { fromRow, toRow } from './device-row.ts'
import { addDrops, createDrops } from './drops.ts'
import { type Clocks, type Presence, presence } from './presence.ts'

export interface HistoryPoint {
  readonly at: number
  readonly rate: number
  readonly queue: number
  readonly memMiB: number
  readonly tempC?: number
  readonly energy?: NonNullable<HeartbeatMessage['energy']>
}

export interface Board {
  readonly id: string
  readonly name: string
  readonly ownerId: string
  /** 32 raw bytes, base64url. */
  readonly publicKey: string
  readonly clocks: Clocks
  readonly info?: InfoMessage
  readonly heartbeat?: HeartbeatMessage
  readonly vitals?: VitalsMessage
  /** Heartbeats since the console started, oldest first. */
  readonly history: readonly HistoryPoint[]
}

/** Twelve hours of heartbeats. */
const MAX_HISTORY = 1440

export interface DevicesOptions {
  readonly db: Kysely<Database>
  readonly now: () => number
  readonly emit: (change: Change) => void
  /** A board is not reachable any more, or was started anew: its leases should go to others. */
  readonly onGone: (device: string) => void
}

export type Removed = 'removed' | 'connected' | 'unknown'
const AWAY: ReadonlySet<Presence['state']> = new Set(['offline', 'new'])

export type Devices = Awaited<ReturnType<typeof createDevices>>

/**
 * A board that was online when the console stopped is not known to be so now: it counts as gone since its last word until
 * its status (retained by the broker, or published when it connects) or its next heartbeat says otherwise.
 */
function unheard(board: Board): Board {
  const { mqtt, heartbeatAt = 0, resultAt = 0 } = board.clocks
  if (mqtt === undefined) return board
  const at = Math.max(mqtt.at, heartbeatAt, resultAt)
  return { ...board, clocks: { ...board.clocks, mqtt: { state: 'offline', at } } }
}

const pointOf = ({ rate, queue, memMiB, tempC, energy }: HeartbeatMessage, at: number): HistoryPoint => ({
  at,
  rate,
  queue,
  memMiB,
  ...(tempC !== undefined && { tempC }),
  ...(energy && { energy }),
})

interface Kept {
  board: Board
  history: HistoryPoint[]
  state: Presence['state']
}

/** What could not be written is written at the next turn. */
async function save(db: Kysely<Database>, kept: ReadonlyMap<string, Kept>, unsaved: Set<string>): Promise<void> {
  const ids = [...unsaved]
  unsaved.clear()
  if (ids.length === 0) return
  const boards = ids.flatMap((id) => kept.get(id)?.board ?? [])
  try {
    await db.transaction().execute(async (trx) => {
      for (const board of boards)
        await trx.updateTable('devices').set(toRow(board)).where('id', '=', board.id).execute()
    })
  } catch (error) {
    for (const id of ids) unsaved.add(id)
    throw error
  }
}

export async function createDevices({ db, now, emit, onGone }: DevicesOptions) {
  const kept = new Map<string, Kept>()
  const unsaved = new Set<string>()
  const drops = createDrops()

  const stateOf = ({ clocks, heartbeat }: Board): Presence => presence(clocks, heartbeat, now())
  const add = (board: Board): void => {
    const history: HistoryPoint[] = []
    kept.set(board.id, { board: { ...board, history }, history, state: stateOf(board).state })
  }
  const rows = await db.selectFrom('devices').selectAll().where('removed_at', 'is', null).execute()
  for (const row of rows) add(unheard(fromRow(row)))

  /** Derives the state anew and tells who must know. */
  const review = (id: string, held: Kept): void => {
    const before = held.state
    held.state = stateOf(held.board).state
    if (before !== held.state) emit({ about: 'device', id })
    if (held.state === 'offline' && before !== 'offline') onGone(id)
  }

  /** False when no such board is enrolled. */
  const change = (id: string, difference: Partial<Board>): boolean => {
    const held = kept.get(id)
    if (held === undefined) return false
    // Frames live in a board's memory: what it was given before it started anew it has answered, or never will.
    if (difference.info && difference.info.boot !== held.board.info?.boot) onGone(id)
    held.board = { ...held.board, ...difference }
    unsaved.add(id)
    review(id, held)
    return true
  }

  /** The same for what a page shows though the state stays. */
  const tell = (id: string, difference: Partial<Board>): boolean => {
    const known = change(id, difference)
    if (known) emit({ about: 'device', id })
    return known
  }

  return {
    /** One that has just enrolled. */
    add(board: Board): void {
      add(board)
      emit({ about: 'device', id: board.id })
    },
    /**
     * A board that will not come back. What it earned stays; enrolled again with its key, it is the same board again. `connected`: it
     * works, and would go on without being paid.
     */
    async remove(id: string): Promise<Removed> {
      const held = kept.get(id)
      if (held === undefined) return 'unknown'
      if (!AWAY.has(stateOf(held.board).state)) return 'connected'
      await db.updateTable('devices').set({ removed_at: now() }).where('id', '=', id).execute()
      kept.delete(id)
      return 'removed'
    },
    get: (id: string): Board | undefined => kept.get(id)?.board,
    list: (): Board[] => [...kept.values()].map(({ board }) => board),
    presenceOf: stateOf,
    drops: () => drops.totals(),

    /** `retained`: the broker repeats what it kept, so an unchanged status keeps its old time. */
    status(id: string, state: StatusMessage, retained: boolean): boolean {
      const held = kept.get(id)
      if (retained && held?.board.clocks.mqtt?.state === state) return true
      return change(id, { clocks: { ...held?.board.clocks, mqtt: { state, at: now() } } })
    },

    info: (id: string, info: InfoMessage): boolean => tell(id, { info }),
    vitals: (id: string, vitals: VitalsMessage): boolean => tell(id, { vitals }),

    heartbeat(id: string, heartbeat: HeartbeatMessage): boolean {
      const held = kept.get(id)
      if (held === undefined) return false
      const at = now()
      held.history.push(pointOf(heartbeat, at))
      if (held.history.length > MAX_HISTORY) held.history.shift()
      addDrops(drops, id, heartbeat, at)
      return tell(id, { heartbeat, clocks: { ...held.board.clocks, heartbeatAt: at } })
    },

    /** The board answered something useful now. */
    answered(id: string): boolean {
      const clocks = kept.get(id)?.board.clocks
      return clocks !== undefined && change(id, { clocks: { ...clocks, resultAt: now() } })
    },

    /** Time moves states too (late, offline): looks at every board, then writes what changed. */
    async turn(): Promise<void> {
      for (const [id, held] of kept) review(id, held)
      await save(db, kept, unsaved)
    },
  }
}
