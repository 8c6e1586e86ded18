// Boards as the page shows them: presence, the last heartbeat in plain numbers, and what they earned.
import type { Kysely } from 'kysely'
import type { Board, Devices } from '../../fleet/devices.ts'
import type { Database } from '../../store/schema.ts'
import type { Device, DeviceDetail } from '../shapes.ts'
import type { ReceiptViews } from './receipts.ts'
import type { TaskViews } from './tasks.ts'

export interface BoardViewOptions {
  readonly db: Kysely<Database>
  readonly devices: Pick<Devices, 'get' | 'list' | 'presenceOf'>
  readonly tasks: Pick<TaskViews, 'list'>
  readonly receipts: Pick<ReceiptViews, 'earned' | 'ofDevice'>
}

/** A board may say whatever it likes, at any length. */
const MAX_NOTICE = 300

const iso = (at: number): string => new Date(at).toISOString()

function clocksOf({ mqtt, heartbeatAt, resultAt }: Board['clocks']): Device['clocks'] {
  return {
    ...(mqtt && { mqtt: { state: mqtt.state, at: iso(mqtt.at) } }),
    ...(heartbeatAt !== undefined && { heartbeatAt: iso(heartbeatAt) }),
    ...(resultAt !== undefined && { resultAt: iso(resultAt) }),
  }
}

/** Undefined where models run on what they should. */
export function providerOf({ info }: Pick<Board, 'info'>): Device['provider'] {
  if (info?.provider === undefined) return undefined
  const { wanted, used, reason } = info.provider
  const [first] = wanted
  if (first === used || (first === undefined && reason === undefined)) return undefined
  return { ...(first !== undefined && { wanted: first }), used, ...(reason !== undefined && { reason }) }
}

export function createBoardViews({ db, devices, tasks, receipts }: BoardViewOptions) {
  async function viewer(): Promise<(board: Board) => Device> {
    const owners = new Map((await db.selectFrom('owners').select(['id', 'name']).execute()).map((o) => [o.id, o.name]))
    const earned = await receipts.earned()
    return (board) => {
      const { state, reason, idle } = devices.presenceOf(board)
      const { heartbeat, info } = board
      const provider = providerOf(board)
      const notice = info?.notices?.[0]?.slice(0, MAX_NOTICE)
      const present = state === 'working' || state === 'idle'
      return {
        id: board.id,
        name: board.name,
        owner: { id: board.ownerId, name: owners.get(board.ownerId) ?? board.ownerId },
        state,
        reason,
        ...(idle && { idle }),
        clocks: clocksOf(board.clocks),
        models: info?.models.map(({ id }) => id) ?? [],
        // A silent board's last numbers are the past, not the present.
        rate: present ? (heartbeat?.rate ?? 0) : 0,
        queue: present ? (heartbeat?.queue ?? 0) : 0,
        ...(present && heartbeat?.tempC !== undefined && { tempC: heartbeat.tempC }),
        ...(present && heartbeat !== undefined && { memMiB: heartbeat.memMiB }),
        ...(present && heartbeat?.flags && { flags: heartbeat.flags }),
        ...(notice && { notice }),
        ...(present && heartbeat?.energy && { energy: heartbeat.energy }),
        ...(provider && { provider }),
        told: `${info?.at ?? ''} ${board.vitals?.at ?? ''}`,
        earned: String(earned.get(board.id) ?? 0n),
      }
    }
  }

  return {
    async list(): Promise<Device[]> {
      const view = await viewer()
      return devices
        .list()
        .map(view)
        .sort((a, b) => a.name.localeCompare(b.name))
    },

    async many(ids: readonly string[]): Promise<Device[]> {
      const view = await viewer()
      return ids.flatMap((id) => devices.get(id) ?? []).map(view)
    },

    async detail(id: string): Promise<DeviceDetail | undefined> {
      const board = devices.get(id)
      if (board === undefined) return undefined
      const view = await viewer()
      return {
        device: view(board),
        ...(board.info && { info: board.info }),
        ...(board.heartbeat && { heartbeat: board.heartbeat }),
        ...(board.vitals && { vitals: board.vitals }),
        history: board.history.map((point) => ({ ...point, at: iso(point.at) })),
        tasks: await tasks.list({ device: id, limit: 30 }),
        receipts: await receipts.ofDevice(id, 50),
      }
    },
  }
}
export type BoardViews = ReturnType<typeof createBoardViews>
