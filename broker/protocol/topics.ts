// Every topic Bramble speaks, built and parsed here and nowhere else (the table is in README.md).

/** One MQTT topic level. Dots, spaces and wildcards break some brokers or somebody's ACL, so they are refused everywhere. */
const LEVEL = /^[A-Za-z0-9_-]{1,64}$/
export const DEFAULT_ROOT = 'bramble/1'
const DISCOVERY_ROOT = 'homeassistant/device'

export type Topic =
  | { kind: 'device-in'; device: string; model: string; task?: string }
  | { kind: 'device-out'; device: string; model: string; task?: string }
  | { kind: 'status' | 'info' | 'heartbeat' | 'vitals' | 'receipts' | 'ack'; device: string }
  | { kind: 'device-image'; device: string; model: string }
  | { kind: 'command' | 'reply'; device: string; name: string; id: string }
  | { kind: 'requester-in' | 'requester-out'; requester: string; model: string; task?: string }
  | { kind: 'requester-ack'; requester: string; task: string }
  | { kind: 'discovery'; device: string }

type DeviceState = 'status' | 'info' | 'heartbeat' | 'vitals' | 'receipts' | 'ack'

const STATE_LEVEL = {
  status: 'status',
  info: 'info',
  heartbeat: 'hb',
  vitals: 'vitals',
  receipts: 'receipts',
  ack: 'ack',
} as const
/** A Map, not an object: a level may be called `constructor`. */
const STATE_OF_LEVEL: ReadonlyMap<string, DeviceState> = new Map([
  ['status', 'status'],
  ['info', 'info'],
  ['hb', 'heartbeat'],
  ['vitals', 'vitals'],
  ['receipts', 'receipts'],
  ['ack', 'ack'],
])

/** True when `text` may stand as one level of a Bramble topic: a device, model, requester or task id. */
export const isTopicLevel = (text: string): boolean => LEVEL.test(text)

const optional = (level: string | undefined): string[] => (level === undefined ? [] : [level])

function levelsOf(topic: Topic): string[] {
  switch (topic.kind) {
    case 'device-in':
    case 'device-out':
      return ['d', topic.device, topic.kind === 'device-in' ? 'in' : 'out', topic.model, ...optional(topic.task)]
    case 'device-image':
      return ['d', topic.device, 'img', topic.model]
    case 'command':
    case 'reply':
      return ['d', topic.device, topic.kind === 'command' ? 'cmd' : 'res', topic.name, topic.id]
    case 'requester-in':
    case 'requester-out':
      return ['r', topic.requester, topic.kind === 'requester-in' ? 'in' : 'out', topic.model, ...optional(topic.task)]
    case 'requester-ack':
      return ['r', topic.requester, 'ack', topic.task]
    case 'discovery':
      return [topic.device]
    default:
      return ['d', topic.device, STATE_LEVEL[topic.kind]]
  }
}

/** The topic as it goes on the wire. Throws RangeError when an id in it is not a legal level: that is a bug of the caller. */
export function formatTopic(topic: Topic, root = DEFAULT_ROOT): string {
  const levels = levelsOf(topic)
  for (const level of levels) if (!isTopicLevel(level)) throw new RangeError(`not a topic level: "${level}"`)
  return topic.kind === 'discovery' ? `${DISCOVERY_ROOT}/${levels.join('/')}/config` : `${root}/${levels.join('/')}`
}

function parseDevice(device: string, [what, a, b]: readonly string[], length: number): Topic | undefined {
  const state = what === undefined ? undefined : STATE_OF_LEVEL.get(what)
  if (state && length === 3) return { kind: state, device }
  if (a === undefined) return undefined
  if (what === 'in' || what === 'out') {
    const kind = what === 'in' ? 'device-in' : 'device-out'
    if (length === 4) return { kind, device, model: a }
    return length === 5 && b !== undefined ? { kind, device, model: a, task: b } : undefined
  }
  if (what === 'img' && length === 4) return { kind: 'device-image', device, model: a }
  if ((what === 'cmd' || what === 'res') && length === 5 && b !== undefined)
    return { kind: what === 'cmd' ? 'command' : 'reply', device, name: a, id: b }
  return undefined
}

function parseRequester(requester: string, [what, a, b]: readonly string[], length: number): Topic | undefined {
  if (a === undefined) return undefined
  if (what === 'ack' && length === 4) return { kind: 'requester-ack', requester, task: a }
  if (what !== 'in' && what !== 'out') return undefined
  const kind = what === 'in' ? 'requester-in' : 'requester-out'
  if (length === 4) return { kind, requester, model: a }
  return length === 5 && b !== undefined ? { kind, requester, model: a, task: b } : undefined
}

/** What a received topic says, or undefined when it is none of ours (wrong root, wrong shape, an illegal level). */
export function parseTopic(text: string, root = DEFAULT_ROOT): Topic | undefined {
  if (!text.startsWith(`${root}/`)) return undefined
  const levels = text.slice(root.length + 1).split('/')
  if (!levels.every(isTopicLevel)) return undefined
  const [side, id, ...rest] = levels
  if (id === undefined) return undefined
  if (side === 'd') return parseDevice(id, rest, levels.length)
  return side === 'r' ? parseRequester(id, rest, levels.length) : undefined
}

/** How the topics begin on which a device, and nobody else, speaks. */
export const ownTopics = (device: string, root = DEFAULT_ROOT): string[] => [
  `${root}/d/${device}/`,
  `${DISCOVERY_ROOT}/${device}/`,
]

/** Subscription filters: few and wide, never overlapping (the portable subset that every engine accepts). */
export const filters = {
  deviceInput: (device: string, root = DEFAULT_ROOT): string[] => [
    `${root}/d/${device}/in/#`,
    `${root}/d/${device}/cmd/#`,
    `${root}/d/${device}/ack`,
  ],
  console: (root = DEFAULT_ROOT): string[] => [
    `${root}/d/+/out/#`,
    `${root}/d/+/status`,
    `${root}/d/+/info`,
    `${root}/d/+/hb`,
    `${root}/d/+/vitals`,
    `${root}/d/+/res/#`,
    `${root}/d/+/receipts`,
    `${root}/r/+/in/#`,
  ],
  requesterOutput: (requester: string, root = DEFAULT_ROOT): string[] => [
    `${root}/r/${requester}/out/#`,
    `${root}/r/${requester}/ack/#`,
  ],
  deviceOutput: (device: string, root = DEFAULT_ROOT): string[] => [`${root}/d/${device}/out/#`],
}
