// What Home Assistant is told about this board: one device with its entities, in the words of its MQTT integration
// (device-based discovery, abbreviated keys; the rules stand in test/fixtures/home-assistant/).
import type { InfoMessage } from '../../broker/protocol/messages.ts'
import { formatTopic } from '../../broker/protocol/topics.ts'
import { MODEL_READINGS, type ModelTask } from './readings.ts'

/** The keys of one entity; its platform is `p`. */
export type Component = Readonly<Record<string, string | number>>

export interface Discovery {
  /** Availability topic: `online` and `offline` are what Home Assistant expects by itself. */
  readonly avty_t: string
  readonly dev: Readonly<Record<string, string | readonly string[]>>
  readonly o: Readonly<Record<string, string>>
  readonly cmps: Readonly<Record<string, Component>>
}

interface Facts {
  readonly device: string
  readonly root: string
  readonly info: Pick<InfoMessage, 'name' | 'version' | 'board' | 'models'>
  /** Models whose frames are pictures: each gets an image. */
  readonly pictures: ReadonlySet<string>
  /** The board's firmware says when its power supply is too weak. */
  readonly hasPowerFlags: boolean
  readonly hasTemperature: boolean
  /** Platforms of entities that were announced before: those that are gone are taken back one by one. */
  readonly before: Readonly<Record<string, string>>
}

/** Heartbeats come every 30 s. */
const HEARTBEAT_GONE_S = 100

function diagnostics({ device, root, hasPowerFlags, hasTemperature }: Facts): Record<string, Component> {
  const stat_t = formatTopic({ kind: 'heartbeat', device }, root)
  const of = (key: string, name: string, more: Component): readonly [string, Component] => [
    key,
    {
      p: 'sensor',
      name,
      uniq_id: `${device}_${key}`,
      stat_t,
      exp_aft: HEARTBEAT_GONE_S,
      ent_cat: 'diagnostic',
      ...more,
    },
  ]
  const number = (field: string) => ({ val_tpl: `{{ value_json.${field} }}`, stat_cla: 'measurement' })
  return Object.fromEntries([
    of('queue', 'Queue', { ...number('queue'), unit_of_meas: 'frames', ic: 'mdi:tray-full' }),
    of('rate', 'Answers per second', { ...number('rate'), unit_of_meas: '1/s', ic: 'mdi:speedometer' }),
    of('memory', 'Memory of the agent', { ...number('memMiB'), dev_cla: 'data_size', unit_of_meas: 'MiB' }),
    ...(hasTemperature
      ? [of('temperature', 'Temperature', { ...number('tempC'), dev_cla: 'temperature', unit_of_meas: '°C' })]
      : []),
    ...(hasPowerFlags
      ? [
          of('undervoltage', 'Under-voltage', {
            p: 'binary_sensor',
            dev_cla: 'problem',
            val_tpl: "{{ 'ON' if 'under-voltage' in (value_json.flags | default([])) else 'OFF' }}",
          }),
        ]
      : []),
  ])
}

function ofModel({ device, root, pictures }: Facts, model: string, task: ModelTask): (readonly [string, Component])[] {
  const stat_t = formatTopic({ kind: 'device-out', device, model }, root)
  const sensor: Component = {
    p: 'sensor',
    name: model,
    uniq_id: `${device}_model_${model}`,
    stat_t,
    json_attr_t: stat_t,
    ...MODEL_READINGS[task],
  }
  const image: Component = {
    p: 'image',
    name: `${model} frame`,
    uniq_id: `${device}_image_${model}`,
    img_t: formatTopic({ kind: 'device-image', device, model }, root),
    cont_type: 'image/jpeg',
  }
  return [[`model_${model}`, sensor], ...(pictures.has(model) ? [[`image_${model}`, image] as const] : [])]
}

const isTask = (task: string): task is ModelTask => Object.hasOwn(MODEL_READINGS, task)

export function discoveryOf(facts: Facts): Discovery {
  const { device, root, info, before } = facts
  const models = info.models.flatMap(({ id, task }) => (isTask(task) ? ofModel(facts, id, task) : []))
  const cmps: Record<string, Component> = { ...diagnostics(facts), ...Object.fromEntries(models) }
  // An entity with nothing but its platform is one that Home Assistant shall remove.
  for (const [key, platform] of Object.entries(before)) cmps[key] ??= { p: platform }
  return {
    dev: { ids: [device], name: info.name, mf: 'Bramble', mdl: info.board.model, sw: info.version },
    o: { name: 'Bramble', sw: info.version },
    avty_t: formatTopic({ kind: 'status', device }, root),
    cmps,
  }
}

/** What to remember of an announcement: each entity's platform. */
export const platformsOf = ({ cmps }: Pick<Discovery, 'cmps'>): Record<string, string> =>
  Object.fromEntries(Object.entries(cmps).map(([key, { p }]) => [key, String(p)]))
