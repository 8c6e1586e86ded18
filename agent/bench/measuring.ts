// One way of using the cores, measured with one model and its golden frames: a lone frame's time, and frames per second when
// there is always a next one.
import { setTimeout as wait } from 'node:timers/promises'
import { type ModelPackage, nameOf } from '../../models/catalog.ts'
import { goldenFrames } from '../../models/proof.ts'
import { type InferenceHost, RUNS_PER_PROCESS } from '../../models/runtime/host.ts'
import type { Cores } from '../choice.ts'

export interface Measured extends Cores {
  readonly model: string
  readonly framesPerS: number
  /** Of lone frames, decoding included. */
  readonly p50Ms: number
  /** Of all inference processes together, with all models that were measured. */
  readonly rssMiB: number
}

interface Options {
  readonly seconds: number
  readonly elapsed: () => number
}

const LONE_RUNS = 15
const WARM_UP_RUNS = 5
const JOIN_MS = 30_000
const LOOK_MS = 20

export const named = ({ processes, threads }: Cores): string => {
  const first = `${threads} thread${threads > 1 ? 's' : ''}`
  if (processes === 1) return `1 process, ${first}`
  if (threads === 1) return `${processes} processes, 1 thread each`
  return `${processes} processes, ${first} + ${new Array(processes - 1).fill('1').join(' + ')}`
}

/** A sentence where it cannot be measured. Rejects with HostError where the model does not load. */
export async function measure(
  host: InferenceHost,
  pkg: ModelPackage,
  cores: Cores,
  { seconds, elapsed }: Options,
): Promise<Measured | string> {
  await host.load(pkg)
  if (!(await allThere(host, cores, elapsed))) return 'not all of its processes could start'
  const frames = await goldenFrames(pkg)
  let next = 0
  let fault: string | undefined
  const runOne = async (): Promise<void> => {
    const frame = frames[next++ % frames.length]
    const outcome = frame && (await host.run(pkg, frame))
    if (outcome && !outcome.ok) fault = outcome.error.message
  }
  const warmUp = Array.from({ length: WARM_UP_RUNS * cores.processes }, runOne)
  await Promise.all(warmUp)
  const lone: number[] = []
  for (let i = 0; i < LONE_RUNS && fault === undefined; i += 1) {
    const from = elapsed()
    await runOne()
    lone.push(elapsed() - from)
  }
  let runs = 0
  const from = elapsed()
  const lane = async (): Promise<void> => {
    for (; elapsed() - from < seconds * 1000 && fault === undefined; runs += 1) await runOne()
  }
  await Promise.all(Array.from({ length: RUNS_PER_PROCESS * Math.max(1, host.size()) }, lane))
  if (fault !== undefined) return fault
  return {
    ...cores,
    model: nameOf(pkg),
    framesPerS: (runs / (elapsed() - from)) * 1000,
    p50Ms: lone.sort((a, b) => a - b)[LONE_RUNS >> 1] ?? Number.NaN,
    rssMiB: host.stats().rssMiB ?? 0,
  }
}

/** The first process serves alone until the others have joined it. */
async function allThere(host: InferenceHost, { processes }: Cores, elapsed: () => number): Promise<boolean> {
  const until = elapsed() + JOIN_MS
  while (host.size() < processes && elapsed() < until) await wait(LOOK_MS)
  return host.size() >= processes
}
