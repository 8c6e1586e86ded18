// `bramble-agent bench`: runs this board's models with their own golden frames in every sensible way of using its cores, keeps
// the best for `run`, and compares each quantized model with its unquantized sibling.
import { availableParallelism, freemem, loadavg } from 'node:os'
import type { Logger } from 'pino'
import { type ModelPackage, nameOf } from '../models/catalog.ts'
import { compareWithFp32 } from '../models/compare.ts'
import { proveGoldens } from '../models/proof.ts'
import { createHost, HostError, type InferenceHost } from '../models/runtime/host.ts'
import { bestOf, waysOf } from './bench/choosing.ts'
import { type Measured, measure, named } from './bench/measuring.ts'
import { type Compared, type Cores, keepChoice, type Machine, thisMachine } from './choice.ts'
import { type Config, hostSettings } from './config.ts'
import { readOnBoard } from './packages/on-board.ts'

export interface BenchReport {
  readonly machine: Machine
  readonly measured: readonly Measured[]
  readonly chosen: Cores
  /** Models that were not measured, and ways that were not tried, and why. */
  readonly left: readonly string[]
  readonly comparisons: readonly Compared[]
}

export class BenchError extends Error {
  override readonly name = 'BenchError'
}

interface Options {
  readonly config: Config
  readonly log: Logger
  readonly seconds: number
  readonly now: () => number
  readonly elapsed: () => number
  /** One line per step, for people. */
  readonly progress: (line: string) => void
}

const MIB = 2 ** 20
/** Of what is free now; the agent and the system need the rest. */
const MEMORY_SHARE = 0.6

/** Throws BenchError and HostError. */
export async function runBench(options: Options): Promise<BenchReport> {
  const { config, now } = options
  const left: string[] = []
  const leave = (reason: string): void => {
    left.push(reason)
    options.progress(reason)
  }
  const load = loadavg()[0] ?? 0
  if (load > availableParallelism() / 2)
    leave(`this board is busy with something else (load ${load.toFixed(1)}): stop it and run this again`)
  const found = await readOnBoard(config)
  for (const { message } of found.faults) leave(message)
  const packages = await proven(found.packages, options, leave)
  if (packages.length === 0) throw new BenchError(`there is nothing to measure:\n${left.join('\n')}`)
  const measured = await measureAll(packages, options, leave)
  const chosen = bestOf(measured)
  const machine = thisMachine()
  const comparisons = await compareAll(packages, chosen, options, leave)
  keepChoice(config.data, { ...chosen, comparisons }, machine, now())
  return { machine, measured, chosen, left, comparisons }
}

type Leave = (reason: string) => void

async function withHost<T>(
  { config, log }: Options,
  cores: Cores,
  work: (host: InferenceHost) => Promise<T>,
): Promise<T> {
  const { processes, threads } = cores
  const host = createHost({ log, ...hostSettings(config), processes, intraOpThreads: threads })
  try {
    return await work(host)
  } finally {
    await host.close()
  }
}

/** The models that compute here what their publishers say: how fast a wrong answer comes is of no interest. */
const proven = (packages: readonly ModelPackage[], options: Options, leave: Leave): Promise<ModelPackage[]> =>
  withHost(options, { processes: 1, threads: 1 }, async (host) => {
    const right: ModelPackage[] = []
    for (const pkg of packages) {
      const fault = await faultOf(host, pkg)
      if (fault === undefined) right.push(pkg)
      else leave(`${nameOf(pkg)} is not measured: ${fault}`)
    }
    return right
  })

async function faultOf(host: InferenceHost, pkg: ModelPackage): Promise<string | undefined> {
  if (pkg.manifest.golden.length === 0) return 'it names no golden frames'
  try {
    await host.load(pkg)
  } catch (error) {
    if (error instanceof HostError && error.code === 'load-failed') return error.message
    throw error
  }
  const proof = await proveGoldens(host, pkg)
  return proof.ok ? undefined : proof.reason
}

async function measureAll(packages: readonly ModelPackage[], options: Options, leave: Leave): Promise<Measured[]> {
  const budgetMiB = (freemem() / MIB) * MEMORY_SHARE
  const measured: Measured[] = []
  let oneProcessMiB = 0
  for (const cores of waysOf(availableParallelism())) {
    if (oneProcessMiB * cores.processes > budgetMiB) {
      leave(`${named(cores)} would need more than ${Math.round(budgetMiB)} MiB: not tried`)
      continue
    }
    const rows = await withHost(options, cores, (host) => measureWay(host, packages, cores, options, leave))
    oneProcessMiB = Math.max(oneProcessMiB, ...rows.map(({ rssMiB }) => rssMiB / cores.processes))
    measured.push(...rows)
  }
  return measured
}

async function measureWay(
  host: InferenceHost,
  packages: readonly ModelPackage[],
  cores: Cores,
  options: Options,
  leave: Leave,
): Promise<Measured[]> {
  const rows: Measured[] = []
  for (const pkg of packages) {
    const row = await measure(host, pkg, cores, options)
    if (typeof row === 'string') {
      leave(`${named(cores)}, ${nameOf(pkg)}: ${row}`)
      continue
    }
    rows.push(row)
    options.progress(
      `${named(cores)}, ${row.model}: ${row.framesPerS.toFixed(1)} frames/s, a lone frame ${row.p50Ms.toFixed(1)} ms`,
    )
  }
  // What it takes with all of them: each one alone cannot be told, for memory is not given back.
  const { rssMiB = 0, unloads } = host.stats()
  if (unloads > 0 && cores.processes > 1) {
    leave(`${named(cores)}: the part of the models' memory that each has (--models-mib) does not hold all of them`)
    return []
  }
  return rows.map((row) => ({ ...row, rssMiB }))
}

const compareAll = (packages: readonly ModelPackage[], { threads }: Cores, options: Options, leave: Leave) =>
  withHost(options, { processes: 1, threads }, async (host) => {
    const found: Compared[] = []
    for (const pkg of packages) {
      try {
        const comparison = await compareWithFp32(host, pkg)
        if (comparison) found.push({ model: nameOf(pkg), digest: pkg.sha256, ...comparison })
      } catch (error) {
        if (!(error instanceof HostError)) throw error
        leave(`${nameOf(pkg)} is not compared with its fp32 sibling: ${error.message}`)
      }
    }
    return found
  })
