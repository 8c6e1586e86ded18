// Publishes that wait for their PUBACK on one connection, and the watch that notices when none comes any more.
import { LinkError } from './terms.ts'

/** Bytes per millisecond of the slowest uplink we wait for: a frame on it is late, not lost. */
const SLOWEST_UPLINK = 8

export interface Flights {
  readonly size: number
  /** Runs `send`, whose callback ends the flight. `bytes` only for QoS 1: QoS 0 is not answered and not watched. */
  add(send: (landed: (error?: Error) => void) => void, bytes?: number): Promise<void>
  rejectAll(reason: LinkError): void
}

/** A number is the broker's reason for saying no (MQTT 5); anything else is the end of the connection. */
const codeOf = (error: Error): 'publish-refused' | 'disconnected' =>
  'code' in error && typeof error.code === 'number' ? 'publish-refused' : 'disconnected'

/** `onSilence` is called when no PUBACK came for `silenceMs` plus the time that the bytes in flight need on a slow uplink. */
export function createFlights(silenceMs: number, onSilence: (reason: LinkError) => void): Flights {
  const flights = new Map<(reason: LinkError) => void, number | undefined>()
  let answers = 0
  let bytesInFlight = 0
  let timer: NodeJS.Timeout | undefined

  function watch(): void {
    const seen = answers
    const patienceMs = silenceMs + bytesInFlight / SLOWEST_UPLINK
    timer = setTimeout(() => {
      timer = undefined
      if (bytesInFlight === 0) return
      if (answers !== seen) return watch()
      onSilence(new LinkError('no-puback', `no PUBACK for ${flights.size} publishes in ${Math.round(patienceMs)} ms`))
    }, patienceMs)
  }

  function land(reject: (reason: LinkError) => void): boolean {
    const known = flights.has(reject)
    bytesInFlight -= flights.get(reject) ?? 0
    flights.delete(reject)
    if (flights.size > 0) return known
    clearTimeout(timer)
    timer = undefined
    return known
  }

  return {
    get size() {
      return flights.size
    },
    add: (send, bytes) =>
      new Promise((resolve, reject) => {
        flights.set(reject, bytes)
        bytesInFlight += bytes ?? 0
        if (bytes !== undefined && !timer) watch()
        send((error) => {
          if (bytes !== undefined) answers += 1
          if (!land(reject)) return
          if (error) reject(new LinkError(codeOf(error), error.message, { cause: error }))
          else resolve()
        })
      }),
    rejectAll(reason) {
      for (const reject of [...flights.keys()]) {
        reject(reason)
        land(reject)
      }
    },
  }
}
