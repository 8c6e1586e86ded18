// Which version of MQTT to speak next: 5 where the broker has it, 3.1.1 otherwise. A broker says no in one of three ways: by
// a CONNACK, by ending the connection, or by never answering at all (RabbitMQ 3.10).
import type { LinkErrorCode } from './terms.ts'

/** As they stand in CONNECT: 4 is 3.1.1. */
export type Version = 4 | 5

export interface Dialect {
  next(): Version
  /** The broker spoke the version asked for. */
  understood(): void
  /** There was no connection. True: it is worth trying the other version at once. */
  failed(code: LinkErrorCode): boolean
}

/** A broker that was found to speak 3.1.1 is asked again after this long, at a connection that is due anyway. */
const ASK_AGAIN_MS = 6 * 3_600_000
/** A broker known to speak 5 that does not answer is more likely in trouble than replaced by an older one. */
const DOUBTS = 3

const fixed = (version: Version): Dialect => ({
  next: () => version,
  understood: () => undefined,
  failed: () => false,
})

/** What is found out is remembered as long as the link lives; `elapsed` is in milliseconds and never jumps. */
export function createDialect(wanted: Version | 'auto', elapsed: () => number): Dialect {
  if (wanted !== 'auto') return fixed(wanted)
  let version: Version = 5
  let since = 0
  /** The broker has spoken this version once. */
  let proven: Version | undefined
  let doubts = 0
  /** The attempt before this one was the other version's. */
  let turned = false

  function turn(): boolean {
    version = version === 5 ? 4 : 5
    since = elapsed()
    const atOnce = !turned
    turned = !turned
    return atOnce
  }

  return {
    next() {
      if (version === 4 && elapsed() - since >= ASK_AGAIN_MS) {
        version = 5
        proven = undefined
      }
      return version
    },
    understood() {
      proven = version
      doubts = 0
      turned = false
    },
    failed(code) {
      if (code === 'version-refused') return turn()
      if (code !== 'silent' && code !== 'disconnected') return false
      doubts += 1
      return proven === version && doubts < DOUBTS ? false : turn()
    },
  }
}
