// Which messages a broker may keep: small state of boards, never frames or results; so that its memory stays bounded.
import { parseTopic } from '../protocol/topics.ts'

export interface RetainedLimits {
  readonly retainedTopics: number
  readonly retainedBytesEach: number
  readonly retainedBytes: number
}

export interface Retained {
  /** True when this message may be kept (and counts it as kept); an empty payload clears its topic. */
  keep(topic: string, bytes: number): boolean
  readonly topics: number
}

const DISCOVERY = /^homeassistant\/device\/[A-Za-z0-9_-]{1,64}\/config$/

function isState(topic: string, root: string): boolean {
  const kind = parseTopic(topic, root)?.kind
  return kind === 'status' || kind === 'info' || DISCOVERY.test(topic)
}

export function createRetained(limits: RetainedLimits, root: string): Retained {
  const kept = new Map<string, number>()
  let total = 0
  return {
    keep(topic, bytes) {
      if (!isState(topic, root) || bytes > limits.retainedBytesEach) return false
      const before = kept.get(topic)
      const next = total - (before ?? 0) + bytes
      if (bytes > 0 && (next > limits.retainedBytes || (before === undefined && kept.size >= limits.retainedTopics)))
        return false
      total = next
      if (bytes === 0) kept.delete(topic)
      else kept.set(topic, bytes)
      return true
    },
    get topics() {
      return kept.size
    },
  }
}
