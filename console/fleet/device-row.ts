// A board between the database's row and the console's memory.
import type { Selectable } from 'kysely'
import { HeartbeatMessage, InfoMessage, VitalsMessage } from '../../broker/protocol/messages.ts'
import type { Database } from '../store/schema.ts'
import type { Board } from './devices.ts'

type Row = Selectable<Database['devices']>

/** A row written by an older version may hold a message of an older shape: then the board says it again soon. */
function stored<T>(
  schema: { safeParse(value: unknown): { data?: T | undefined } },
  text: string | null,
): T | undefined {
  return text === null ? undefined : schema.safeParse(JSON.parse(text)).data
}

export function fromRow(row: Row): Board {
  const info = stored(InfoMessage, row.info)
  const heartbeat = stored(HeartbeatMessage, row.heartbeat)
  const vitals = stored(VitalsMessage, row.vitals)
  return {
    id: row.id,
    name: row.name,
    ownerId: row.owner_id,
    publicKey: row.public_key,
    history: [],
    ...(info && { info }),
    ...(heartbeat && { heartbeat }),
    ...(vitals && { vitals }),
    clocks: {
      ...(row.mqtt_state !== null && { mqtt: { state: row.mqtt_state, at: row.mqtt_at ?? 0 } }),
      ...(row.heartbeat_at !== null && { heartbeatAt: row.heartbeat_at }),
      ...(row.result_at !== null && { resultAt: row.result_at }),
    },
  }
}

export function toRow({ info, heartbeat, vitals, clocks }: Board) {
  return {
    info: info ? JSON.stringify(info) : null,
    heartbeat: heartbeat ? JSON.stringify(heartbeat) : null,
    vitals: vitals ? JSON.stringify(vitals) : null,
    mqtt_state: clocks.mqtt?.state ?? null,
    mqtt_at: clocks.mqtt?.at ?? null,
    heartbeat_at: clocks.heartbeatAt ?? null,
    result_at: clocks.resultAt ?? null,
  }
}
