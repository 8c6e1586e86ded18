// The yardstick: the same model, decoder and session options in one process, frame after frame, with nothing around them.
import type { ModelPackage } from '../../models/catalog.ts'
import { DEFAULT_MAX_PIXELS } from '../../models/runtime/decode/limits.ts'
import { openModel } from '../../models/runtime/model.ts'
import { quantile } from './report.ts'

export interface BareLoopResult {
  readonly framesPerS: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuMsPerFrame: number
  readonly rssMiB: number
}

const WARM_UP = 10

/** Decode, then infer, `count` frames one after the other; `frames` are JPEG files, taken in turn. */
export async function runBareLoop(options: {
  readonly pkg: ModelPackage
  readonly frames: readonly Uint8Array[]
  readonly count: number
}): Promise<BareLoopResult> {
  const { pkg, frames, count } = options
  const model = await openModel(pkg, { intraOpThreads: 1, maxPixels: DEFAULT_MAX_PIXELS })
  const once = async (i: number) => {
    const data = frames[i % frames.length] as Uint8Array
    const prepared = await model.prepare({ contentType: 'image/jpeg', data })
    await model.run(prepared)
    prepared.release()
  }
  for (let i = 0; i < WARM_UP; i++) await once(i)
  const times: number[] = []
  const cpuBefore = process.cpuUsage()
  const from = performance.now()
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    await once(i)
    times.push(performance.now() - start)
  }
  const wallMs = performance.now() - from
  const { user, system } = process.cpuUsage(cpuBefore)
  const rssMiB = process.memoryUsage.rss() / 2 ** 20
  await model.close()
  times.sort((a, b) => a - b)
  return {
    framesPerS: (1000 * count) / wallMs,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    cpuMsPerFrame: (user + system) / 1000 / count,
    rssMiB,
  }
}
