// ONNX Runtime behind a narrow face, and the only importer of it: options that keep the bits and the CPU in hand.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type * as ort from 'onnxruntime-node'
import type { TensorType } from '../manifest.ts'
import { cpuClassOf } from './cpu.ts'
import { messageOf, RunFailure } from './failure.ts'
import { gpuOf } from './gpu.ts'
import { findOrt } from './ort-place.ts'
import { chainProviders, type ProviderName } from './providers.ts'

export type TensorData =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigInt64Array

export interface RawTensor {
  readonly type: TensorType
  readonly shape: readonly number[]
  readonly data: TensorData
}
export type Tensors = Readonly<Record<string, RawTensor>>

/** `shape` has -1 where the model leaves a dimension free. */
export interface TensorPort {
  readonly name: string
  readonly type: string
  readonly shape: readonly number[]
}

export interface Session {
  readonly inputs: readonly TensorPort[]
  readonly outputs: readonly TensorPort[]
  /** The execution provider this session really runs on. */
  readonly provider: ProviderName
  /** Why one that was wanted is not used. */
  readonly passedOver?: string
  /** Blocks the event loop for the length of the run: ONNX Runtime's Node binding runs on the calling thread. */
  run(feeds: Tensors, fetches: readonly string[]): Promise<Tensors>
  close(): Promise<void>
}

const place = findOrt()
const { InferenceSession, Tensor, env, listSupportedBackends } = place.require('onnxruntime-node') as typeof ort

export const ORT_VERSION: string = env.versions.node ?? env.versions.common

const cpu = cpuClassOf(process.arch, readCpuinfo())
export const CPU_CLASS = cpu.name
export const SESSION_FLAGS: readonly string[] = cpu.needsQuantPrecision ? ['x64quantprecision'] : []

function readCpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}

export interface SessionSettings {
  readonly intraOpThreads: number
  readonly providers?: readonly ProviderName[]
  readonly gpu?: number
}

/** CUDA and TensorRT come as a library of their own beside the binding. */
function hasLibrary(provider: ProviderName): boolean {
  const folder = join(place.folder, 'bin/napi-v6', process.platform, process.arch)
  return existsSync(join(folder, `libonnxruntime_providers_${provider}.so`))
}

function chainOf({ providers }: SessionSettings) {
  const listed = new Set(listSupportedBackends().map(({ name }) => name))
  return chainProviders(providers, listed, hasLibrary, { gpu: gpuOf(), passedOver: place.passedOver })
}

/** `whole`: fails where a part of the model would run on the CPU, instead of doing so without a word. */
const optionsFor = (
  tries: readonly ProviderName[],
  { intraOpThreads, gpu = 0 }: SessionSettings,
  whole: boolean,
): ort.InferenceSession.SessionOptions => ({
  executionProviders: tries
    .filter((name) => !whole || name !== 'cpu')
    .map((name) => (name === 'cpu' ? name : { name, deviceId: gpu })),
  intraOpNumThreads: intraOpThreads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  logSeverityLevel: 3,
  extra: {
    session: {
      // Spinning threads burn the second core that decode and the agent need.
      intra_op: { allow_spinning: '0' },
      ...(cpu.needsQuantPrecision && { x64quantprecision: '1' }),
      ...(whole && { disable_cpu_ep_fallback: '1' }),
    },
  },
})

interface Created {
  readonly provider: ProviderName
  readonly session: ort.InferenceSession
  readonly passedOver: string | undefined
}

/** The first provider that takes the model: alone, else with the CPU's help, which is said. */
async function create(model: Uint8Array, settings: SessionSettings): Promise<Created> {
  const { tries, missing } = chainOf(settings)
  const reasons = [...missing]
  const said = (): string | undefined => (reasons.length > 0 ? reasons.join('; ') : undefined)
  let lastError: unknown
  for (const [at, provider] of tries.entries())
    for (const whole of provider === 'cpu' ? [false] : [true, false]) {
      try {
        const options = optionsFor(tries.slice(at), settings, whole)
        return { provider, session: await InferenceSession.create(model, options), passedOver: said() }
      } catch (error) {
        lastError = error
        const reason = messageOf(error).split('\n', 1)[0]
        if (!whole) reasons.pop()
        reasons.push(whole ? `${provider}: parts of the model run on the CPU (${reason})` : `${provider}: ${reason}`)
      }
    }
  throw lastError
}

const portOf = (meta: ort.InferenceSession.ValueMetadata): TensorPort =>
  meta.isTensor
    ? { name: meta.name, type: meta.type, shape: meta.shape.map((n) => (typeof n === 'number' ? n : -1)) }
    : { name: meta.name, type: 'not a tensor', shape: [] }

const toOrt = ({ type, data, shape }: RawTensor): ort.Tensor =>
  new Tensor(type as 'float32', data as Float32Array, [...shape])

/** `model` is the bytes of the file, so that what was hashed is what runs. Throws where ONNX Runtime refuses them. */
export async function openSession(model: Uint8Array, settings: SessionSettings): Promise<Session> {
  const { session, provider, passedOver } = await create(model, settings)
  return {
    inputs: session.inputMetadata.map(portOf),
    outputs: session.outputMetadata.map(portOf),
    provider,
    ...(passedOver !== undefined && { passedOver }),
    async run(feeds, fetches) {
      const inputs: Record<string, ort.Tensor> = {}
      for (const [name, tensor] of Object.entries(feeds)) inputs[name] = toOrt(tensor)
      try {
        const outputs = await session.run(inputs, fetches)
        const tensors: Record<string, RawTensor> = {}
        for (const [name, { type, dims, data }] of Object.entries(outputs))
          tensors[name] = { type: type as TensorType, shape: dims, data: data as TensorData }
        return tensors
      } catch (error) {
        throw new RunFailure('model-failed', `the model refused the run: ${messageOf(error)}`, error)
      }
    },
    close: () => session.release(),
  }
}
