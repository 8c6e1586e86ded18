// The load generator: an ordinary pipeline that keeps a number of tasks in flight and measures publish → answer.
import type { Link } from '../../broker/link.ts'
import { formatTopic, parseTopic, type Topic } from '../../broker/protocol/topics.ts'
import { quantile } from './report.ts'

export interface Load {
  readonly framesPerS: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly answered: number
  readonly failed: number
}

/** Where task number `id` goes: straight to a board, or to the pool. */
export type Address = (id: string) => Topic

export interface LoadGenerator {
  run(address: Address, frames: readonly Uint8Array[], inflight: number, seconds: number): Promise<Load>
}

/** `link` must be subscribed to the answers of every address used. */
export function createLoad(link: Link): LoadGenerator {
  const waiting = new Map<string, (ok: boolean) => void>()
  let made = 0
  link.onMessage((topic, payload) => {
    const parsed = parseTopic(topic)
    if ((parsed?.kind !== 'device-out' && parsed?.kind !== 'requester-out') || parsed.task === undefined) return
    const ok = JSON.parse(payload.toString()).error === undefined
    waiting.get(parsed.task)?.(ok)
    waiting.delete(parsed.task)
  })

  async function one(address: Address, frame: Uint8Array): Promise<{ ms: number; ok: boolean }> {
    made += 1
    const id = `bench-${process.pid}-${made}`
    const start = performance.now()
    const answered = new Promise<boolean>((resolve) => waiting.set(id, resolve))
    await link.publish(formatTopic(address(id)), frame, { qos: 1 })
    return { ok: await answered, ms: performance.now() - start }
  }

  return {
    async run(address, frames, inflight, seconds) {
      const times: number[] = []
      let failed = 0
      const start = performance.now()
      const end = start + seconds * 1000
      const lane = async (first: number): Promise<void> => {
        for (let i = first; performance.now() < end; i += inflight) {
          const frame = frames[i % frames.length]
          if (!frame) throw new Error('no frames')
          const { ms, ok } = await one(address, frame)
          if (ok) times.push(ms)
          else failed += 1
        }
      }
      await Promise.all(Array.from({ length: inflight }, (_, i) => lane(i)))
      const elapsed = (performance.now() - start) / 1000
      times.sort((a, b) => a - b)
      return {
        framesPerS: times.length / elapsed,
        p50Ms: quantile(times, 0.5),
        p99Ms: quantile(times, 0.99),
        answered: times.length,
        failed,
      }
    },
  }
}
