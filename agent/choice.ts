// How this board's cores are used: what its owner said, else what `bramble-agent bench` found here, else a default.
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { Comparison } from '../broker/protocol/messages.ts'
import { findOrt } from '../models/runtime/ort-place.ts'
import { readPrivate, writePrivate } from './private-file.ts'

export interface Cores {
  /** Inference processes. */
  readonly processes: number
  /** Threads of ONNX Runtime in the first of them; every other one has one. */
  readonly threads: number
}

export interface Choice extends Cores {
  readonly chosenBy: 'default' | 'bench' | 'config'
}

/** What a measurement is only true of. */
const Machine = z.object({ cpu: z.string(), cpus: z.int(), ort: z.string() })
export type Machine = z.infer<typeof Machine>

/** A quantized model beside its unquantized sibling. `digest` of its model file: of other bytes nothing is known. */
const Compared = Comparison.extend({ model: z.string(), digest: z.string() })
export type Compared = z.infer<typeof Compared>

export interface Found extends Cores {
  readonly comparisons: readonly Compared[]
}

const Kept = z.object({
  machine: Machine,
  processes: z.int().min(1).max(64),
  threads: z.int().min(1).max(256),
  at: z.iso.datetime(),
  /** Absent in what earlier versions kept. */
  comparisons: z.array(Compared).default([]),
})

const fileIn = (data: string): string => join(data, 'choice.json')

export const thisMachine = (): Machine => ({
  cpu: cpus()[0]?.model ?? 'unknown CPU',
  cpus: availableParallelism(),
  ort: findOrt().version,
})

export function keepChoice(
  data: string,
  { processes, threads, comparisons }: Found,
  machine: Machine,
  now: number,
): void {
  const kept = { machine, processes, threads, at: new Date(now).toISOString(), comparisons }
  writePrivate(fileIn(data), `${JSON.stringify(kept, null, 2)}\n`)
}

/** `stale`: one was kept, but for another machine or another ONNX Runtime. */
export function readChoice(data: string, machine: Machine): Found | 'stale' | undefined {
  const text = readPrivate(fileIn(data))
  if (text === undefined) return undefined
  const kept = Kept.safeParse(jsonOf(text))
  if (!kept.success) return 'stale'
  const { processes, threads, comparisons, machine: then } = kept.data
  const isSame = then.cpu === machine.cpu && then.cpus === machine.cpus && then.ort === machine.ort
  return isSame ? { processes, threads, comparisons } : 'stale'
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const MIB = 2 ** 20
/** A second process costs its own 60 MiB and a copy of every model. */
const ROOM_FOR_TWO_MIB = 1_500
/** Small models gain nothing beyond. */
const MOST_THREADS = 4

/**
 * A process with all cores but one, of two with both: a lone frame takes two thirds of the time of one thread. Beside it, where
 * memory allows, one with a single thread: it fills the gaps that decoding and small layers leave. Measured on two cores against
 * a bare loop with one thread, many frames in flight: 1.6 times the frames with ssd-mobilenet-v1 and 1.3 with mobilenet-v1
 * (1.6 and 1.1 without the second process; 1.6 and 1.4, but a lone frame as slow as ever, with two of one thread).
 */
export const defaultCores = (cores = availableParallelism(), totalMiB = totalmem() / MIB): Cores => ({
  processes: cores > 1 && totalMiB >= ROOM_FOR_TWO_MIB ? 2 : 1,
  threads: cores <= 2 ? cores : Math.min(MOST_THREADS, cores - 1),
})

/** `said` is what the configuration names; a half that it leaves open is filled so that every core is used. */
export function chooseCores(
  said: { readonly processes?: number | undefined; readonly threads?: number | undefined },
  kept: Cores | undefined,
  cores = availableParallelism(),
): Choice {
  const { processes = 1, threads = Math.max(1, cores - processes + 1) } = said
  if (said.processes !== undefined || said.threads !== undefined) return { processes, threads, chosenBy: 'config' }
  if (kept) return { processes: kept.processes, threads: kept.threads, chosenBy: 'bench' }
  return { ...defaultCores(cores), chosenBy: 'default' }
}
