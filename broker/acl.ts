// May this client publish or subscribe here? Pure: grants in, yes or no out. What no grant covers is refused.
import type { Grant, Principal } from './protocol/credentials.ts'

/** Portable topics have 8 levels at most; a configured root may add a few. */
const MAX_LEVELS = 16
const MAX_TOPIC_BYTES = 256

// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing control characters is the point (MQTT-1.5.3-2)
const CONTROL = /[\u0000-\u001f\u007f]/

/** `$` topics belong to brokers ($SYS) and to shared subscriptions, which aedes grants and never serves. */
const isPlain = (topic: string): boolean =>
  topic !== '' &&
  !topic.startsWith('$') &&
  !CONTROL.test(topic) &&
  Buffer.byteLength(topic) <= MAX_TOPIC_BYTES &&
  topic.split('/').length <= MAX_LEVELS

/** A wildcard stands alone in its level, and `#` only in the last one. */
const isFilter = (filter: string): boolean =>
  filter
    .split('/')
    .every((level, i, { length }) => (level === '#' ? i === length - 1 : level === '+' || !/[+#]/.test(level)))

/**
 * True when every topic that `filter` matches is matched by `granted` too. A topic without wildcards is the narrowest
 * filter, so this is also plain matching. `a/#` covers `a` itself (MQTT 3.1.1, 4.7.1.2).
 */
function covers(granted: string, filter: string): boolean {
  const wide = granted.split('/')
  const narrow = filter.split('/')
  for (const [i, level] of wide.entries()) {
    if (level === '#') return true
    const asked = narrow[i]
    if (asked === undefined || asked === '#') return false
    if (level !== '+' && level !== asked) return false
  }
  return narrow.length === wide.length
}

const granted = ({ grants }: Principal, action: Grant['action'], filter: string): boolean =>
  grants.some((grant) => grant.action === action && covers(grant.topic, filter))

export const mayPublish = (principal: Principal, topic: string): boolean =>
  isPlain(topic) && !/[+#]/.test(topic) && granted(principal, 'publish', topic)

/** The filter must be covered by one grant: nothing is granted in part. */
export const maySubscribe = (principal: Principal, filter: string): boolean =>
  isPlain(filter) && isFilter(filter) && granted(principal, 'subscribe', filter)
