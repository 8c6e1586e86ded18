// The models: are their files what they should be, do they compute here what their publisher says, and how long does a frame take.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { type ModelPackage, nameOf } from '../../models/catalog.ts'
import { proveGoldens } from '../../models/proof.ts'
import { createHost, HostError, type InferenceHost, type ProviderReport } from '../../models/runtime/host.ts'
import { PROVIDERS } from '../../models/runtime/providers.ts'
import { defaultCores } from '../choice.ts'
import { type Config, hostSettings } from '../config.ts'
import { readOnBoard } from '../packages/on-board.ts'
import type { Energy } from '../presence/energy.ts'
import { type Check, fail, mebibytes, ok, skip, warn } from './check.ts'

const REINSTALL = 'install the package again, or name the right folder with --models'

/** The board's own folder, with what the console sent in its place. */
export async function readModels(config: Config): Promise<{ packages: readonly ModelPackage[]; checks: Check[] }> {
  const { packages, faults } = await readOnBoard(config)
  const checks = faults.map(({ name, message }) => fail(name, message, REINSTALL))
  if (packages.length > 0) checks.push(ok('models', `${packages.map(nameOf).join(', ')}: every file has its digest`))
  else if (checks.length === 0) checks.push(fail('models', 'there is none', REINSTALL))
  return { packages, checks }
}

const ROOM_MIB = 120

interface Options {
  readonly config: Config
  readonly packages: readonly ModelPackage[]
  readonly running: boolean
  readonly freeMiB: number
  readonly energy: Pick<Energy, 'of'>
  readonly elapsed: () => number
  readonly log: Logger
  readonly tell: (check: Check) => void
}

/** In a process of its own, one model after the other. Beside a running agent only where there is room for both. */
export async function checkModels(options: Options): Promise<void> {
  const { config, packages, running, freeMiB, log, tell } = options
  const neededMiB = ROOM_MIB + 3 * Math.max(0, ...packages.map(({ bytes }) => bytes / 2 ** 20))
  if (running && freeMiB < neededMiB)
    return tell(
      skip(
        'inference',
        `${mebibytes(freeMiB)} of memory are not enough to try it beside the running agent; stop it first`,
      ),
    )
  const host = createHost({ log, ...hostSettings(config), intraOpThreads: config.threads ?? defaultCores().threads })
  try {
    await host.runtime()
    const reports: ProviderReport[] = []
    const loaded = (): void => void reports.push(host.provider())
    for (const pkg of packages) tell(await checkModel(host, pkg, { ...options, loaded }))
    for (const check of checkProvider(reports)) tell(check)
  } catch (error) {
    if (!(error instanceof HostError)) throw error
    tell(fail('inference', error.message, 'a 64-bit system on a supported CPU is needed: uname -m, cat /proc/cpuinfo'))
  } finally {
    await host.close()
  }
}

async function checkModel(
  host: InferenceHost,
  pkg: ModelPackage,
  options: Options & { readonly loaded: () => void },
): Promise<Check> {
  const name = pkg.manifest.id
  try {
    await host.load(pkg)
    options.loaded()
    const proof = await proveGoldens(host, pkg)
    if (!proof.ok)
      return fail(
        name,
        `computes something else than its publisher: ${proof.reason}`,
        'do not serve it on this board (--serve)',
      )
    const exact = proof.exact ? 'bit for bit' : 'within the tolerance'
    const cases = `${proof.cases} golden input${proof.cases === 1 ? '' : 's'}`
    return ok(name, `${cases} right ${exact}; ${await tryFrame(host, pkg, options)}`)
  } catch (error) {
    if (!(error instanceof HostError)) throw error
    return fail(name, error.message, 'make room in memory, or leave it out with --serve')
  } finally {
    await host.unload(nameOf(pkg)).catch(() => undefined)
  }
}

const RUNS = 5

/** The middle of a few real runs, decoding included, and what one costs. */
async function tryFrame(
  host: InferenceHost,
  pkg: ModelPackage,
  { elapsed, energy }: Pick<Options, 'elapsed' | 'energy'>,
): Promise<string> {
  const [golden] = pkg.manifest.golden
  if (golden === undefined) return 'it has no frame to try'
  const frame = { contentType: golden.contentType, data: readFileSync(join(pkg.folder, golden.frame.path)) }
  const runs: { ms: number; cpuMs: number | undefined }[] = []
  for (let i = 0; i < RUNS; i += 1) {
    const from = elapsed()
    const outcome = await host.run(pkg, frame)
    if (!outcome.ok) return `a frame failed: ${outcome.error.message}`
    runs.push({ ms: elapsed() - from, cpuMs: outcome.cpuMs })
  }
  const middle = runs.sort((a, b) => a.ms - b.ms)[Math.floor(RUNS / 2)]
  const joules = middle?.cpuMs === undefined ? undefined : energy.of(middle.cpuMs)
  const cost = joules ? `, about ${joules.j} J (${joules.from})` : ''
  return `${(middle?.ms ?? 0).toFixed(1)} ms a frame${cost}`
}

const rank = ({ used }: ProviderReport): number => PROVIDERS.indexOf(used)

/** One report for each model that loaded; the model that came off worst is what the owner must hear of. */
function checkProvider(reports: readonly ProviderReport[]): Check[] {
  const name = 'provider'
  const [worst] = reports.toSorted((a, b) => rank(b) - rank(a))
  if (worst === undefined) return []
  const { wanted, used, reason } = worst
  const [first] = wanted
  const isAsWanted = first === undefined ? reason === undefined : first === used
  if (isAsWanted) return [ok(name, `models run on ${used}`)]
  const count = reports.filter((one) => one.used === used).length
  const run = `${count === reports.length ? 'models' : `${count} of ${reports.length} models`} run on ${used}`
  return [
    warn(
      name,
      `${first === undefined ? run : `${first} was wanted, but ${run}`}${reason ? `: ${reason}` : ''}`,
      'build ONNX Runtime with it for this board (firmware-scripts), or ask for cpu (--providers cpu)',
    ),
  ]
}
