// Checks a discovery message as Home Assistant's MQTT integration does: abbreviations first, then its schemas
// (fixtures/home-assistant/rules.json names where they were read).
import { readFileSync } from 'node:fs'
import { z } from 'zod'

const names = z.array(z.string())
const Rules = z.object({
  topic: z.string(),
  abbreviations: z.record(z.string(), z.string()),
  deviceAbbreviations: z.record(z.string(), z.string()),
  originAbbreviations: z.record(z.string(), z.string()),
  root: z.object({ required: names, optional: names }),
  device: names,
  origin: z.object({ required: names, optional: names }),
  entity: names,
  platforms: z.record(
    z.string(),
    z.object({
      required: names,
      optional: names,
      deviceClasses: z.record(z.string(), names),
      stateClasses: names.optional(),
    }),
  ),
  entityCategories: names,
  icon: z.string(),
})

const rules = Rules.parse(
  JSON.parse(readFileSync(new URL('../fixtures/home-assistant/rules.json', import.meta.url), 'utf8')),
)

type Fields = Record<string, unknown>
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const expand = (fields: Fields, table: Readonly<Record<string, string>>): Fields =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [table[key] ?? key, value]))

/** MQTT: not empty, no control characters, wildcards only as whole levels, # only at the end. */
const isFilter = (topic: unknown): boolean =>
  typeof topic === 'string' &&
  topic !== '' &&
  !/\p{Cc}/u.test(topic) &&
  topic
    .split('/')
    .every((level, i, levels) => !/[+#]/.test(level) || level === '+' || (level === '#' && i === levels.length - 1))

function keysOf(fields: Fields, required: readonly string[], optional: readonly string[], where: string): string[] {
  return [
    ...required.filter((key) => !(key in fields)).map((key) => `${where}: ${key} is missing`),
    ...Object.keys(fields)
      .filter((key) => !required.includes(key) && !optional.includes(key))
      .map((key) => `${where}: ${key} is not known`),
  ]
}

function entityFaults(key: string, short: unknown): string[] {
  if (!isFields(short)) return [`${key}: is no mapping`]
  const entity = expand(short, rules.abbreviations)
  const platform = rules.platforms[String(entity['platform'])]
  if (!platform) return [`${key}: platform ${String(entity['platform'])} is not known`]
  // Nothing but the platform: it is removed.
  if (Object.keys(entity).length === 1) return []
  const { device_class, unit_of_measurement, state_class, entity_category, icon } = entity
  const units = device_class === undefined ? undefined : platform.deviceClasses[String(device_class)]
  const wrong = (when: boolean, what: string): string[] => (when ? [`${key}: ${what}`] : [])
  return [
    ...keysOf(entity, ['unique_id', ...platform.required], [...rules.entity, ...platform.optional], key),
    ...Object.entries(entity)
      .filter(([name, value]) => name.endsWith('_topic') && !isFilter(value))
      .map(([name]) => `${key}: ${name} is no topic filter`),
    ...wrong(device_class !== undefined && units === undefined, 'device_class is not known'),
    ...wrong(
      (units?.length ?? 0) > 0 && !units?.includes(String(unit_of_measurement)),
      'unit does not fit device_class',
    ),
    ...wrong(units?.length === 0 && unit_of_measurement !== undefined, 'a unit is not allowed'),
    ...wrong(state_class !== undefined && !platform.stateClasses?.includes(String(state_class)), 'state_class'),
    ...wrong(
      entity_category !== undefined && !rules.entityCategories.includes(String(entity_category)),
      'entity_category',
    ),
    ...wrong(icon !== undefined && !new RegExp(rules.icon).test(String(icon)), 'icon'),
    ...wrong('expire_after' in entity && !Number.isInteger(entity['expire_after']), 'expire_after is no number'),
  ]
}

/** Why Home Assistant would not take this message; empty when it would. */
export function faultsOf(topic: string, text: string): string[] {
  const parsed: unknown = JSON.parse(text)
  if (!isFields(parsed)) return ['no mapping']
  const root = expand(parsed, rules.abbreviations)
  const { device, origin, components } = root
  if (!isFields(device) || !isFields(origin) || !isFields(components))
    return ['device, origin or components is missing']
  const long = { device: expand(device, rules.deviceAbbreviations), origin: expand(origin, rules.originAbbreviations) }
  const ids = Object.values(components).flatMap((entity) => (isFields(entity) ? [entity['uniq_id']] : []))
  const named = ids.filter((id) => id !== undefined)
  return [
    ...(new RegExp(rules.topic).test(topic) ? [] : ['the topic is none of discovery']),
    ...keysOf(root, rules.root.required, rules.root.optional, 'root'),
    ...keysOf(long.device, [], rules.device, 'device'),
    ...(long.device['identifiers'] || long.device['connections'] ? [] : ['device: no identifier']),
    ...keysOf(long.origin, rules.origin.required, rules.origin.optional, 'origin'),
    ...(isFilter(root['availability_topic'] ?? 'none') ? [] : ['availability_topic is no topic filter']),
    ...(new Set(named).size === named.length ? [] : ['a unique_id stands twice']),
    ...Object.entries(components).flatMap(([key, entity]) => entityFaults(key, entity)),
  ]
}
