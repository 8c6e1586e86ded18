// What the agent's process and the inference process say to each other. Both ends are ours and of one version: no parsing.
import type { Prediction, ResultError, Runtime } from '../../broker/protocol/messages.ts'
import type { LoadableModel } from './model.ts'
import type { ProviderName } from './providers.ts'
import type { InputFrame } from './tasks/prepared.ts'

/** Milliseconds: `decode` is what decoding cost this frame beyond what ran hidden behind the run before it. */
export interface RunTimes {
  readonly decode: number
  readonly infer: number
}

export type RunOutcome =
  | {
      ok: true
      prediction: Prediction
      digest: string
      ms: RunTimes
      /** CPU time of the process since the answer before: in a busy process, what this run cost. */
      cpuMs?: number
      /** What the model ran on, this time: after a restart of the process it may be another one. */
      provider?: ProviderName
    }
  /** `killed`: the process was killed, or died, over this very run. */
  | { ok: false; error: ResultError; ms?: RunTimes; killed?: true }

/** `key` is the model's id@version. */
export type Order =
  | { type: 'load'; id: number; key: string; model: LoadableModel }
  | { type: 'unload'; id: number; key: string }
  | { type: 'run'; id: number; key: string; frame: InputFrame }

/** What loading a model showed. */
export interface Loaded {
  /** By how much the process grew, MiB: never below 0. */
  readonly grewMiB: number
  /** The execution provider that the model really runs on, and why a wanted one was passed over. */
  readonly provider: ProviderName
  readonly passedOver?: string
}

/** Every order gets exactly one reply, in the order of the orders. */
export type Reply =
  | ({ type: 'loaded'; id: number; runtime: Runtime; rssMiB: number } & Loaded)
  | { type: 'load-failed'; id: number; message: string }
  | { type: 'unloaded'; id: number }
  | { type: 'done'; id: number; outcome: RunOutcome; rssMiB: number; cpuMs: number }

export type HostMessage = { type: 'ready'; runtime: Runtime } | Reply

/** How the inference process is started: its one argument. */
export interface HostSettings {
  readonly intraOpThreads: number
  /** In order of preference; absent: the best that is installed. The CPU is always the last resort. */
  readonly providers?: readonly ProviderName[]
  /** Which GPU, for CUDA and TensorRT. */
  readonly gpu?: number
  readonly maxPixels: number
  /** Start again when the TypeScript loader was needed: next time the compile cache has everything (see host-process.ts). */
  readonly mayRestart: boolean
}

/** Exit code of a process that only filled the compile cache. */
export const CACHE_FILLED = 75
