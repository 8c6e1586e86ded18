// The console's server-sent events, held open for as long as the page is: read by fetch (EventSource cannot send a bearer
// header), watched for silence, and opened again after a back-off.
import type { ConsoleEvent } from '../routes/shapes.ts'
import { createSseParser } from './sse.ts'

/** The console writes at least every 15 s; this long without a byte is a connection that died without TCP noticing. */
export const SILENCE_MS = 25_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 15_000

export interface EventLoop {
  readonly open: (signal: AbortSignal) => Promise<Response>
  readonly onEvent: (event: ConsoleEvent) => void
  readonly onLive: () => void
  readonly onLost: (retryMs: number) => void
  /** The token is not (or no longer) good. */
  readonly onRefused: () => void
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly random: () => number
}

/** Full jitter: a fleet of open pages does not come back in step. */
export const retryDelay = (failures: number, random: () => number): number =>
  Math.round(FIRST_RETRY_MS + random() * Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures))

// The page and the console come from one build, so the shape of `data` is trusted and zod stays out of the bundle.
const asConsoleEvent = ({ event, data }: { event: string; data: string }) =>
  ({ event, data: JSON.parse(data) }) as ConsoleEvent

async function readEvents(body: ReadableStream<Uint8Array>, loop: EventLoop, signal: AbortSignal): Promise<void> {
  const parser = createSseParser((event) => loop.onEvent(asConsoleEvent(event)))
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader()
  const stop = () => void reader.cancel().catch(() => undefined)
  signal.addEventListener('abort', stop, { once: true })
  let silence = setTimeout(stop, SILENCE_MS)
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(silence)
      silence = setTimeout(stop, SILENCE_MS)
      parser.push(part.value)
    }
  } finally {
    clearTimeout(silence)
    signal.removeEventListener('abort', stop)
    stop()
  }
}

/** Runs until `signal` ends it or the token is refused. */
export async function followEvents(loop: EventLoop, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    try {
      const response = await loop.open(signal)
      if (response.status === 401 || response.status === 403) return loop.onRefused()
      if (response.ok && response.body) {
        failures = 0
        loop.onLive()
        await readEvents(response.body, loop, signal)
      }
    } catch {
      // Whatever broke the connection, the way on is the same: say so and try again.
    }
    if (signal.aborted) return
    const retryMs = retryDelay(failures, loop.random)
    failures += 1
    loop.onLost(retryMs)
    await loop.sleep(retryMs, signal)
  }
}
