// Does a model compute here what its publisher says it computes? Its golden cases are run in the inference host of this machine.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ErrorCode, Prediction } from '../broker/protocol/messages.ts'
import type { ModelPackage } from './catalog.ts'
import type { GoldenCase } from './manifest.ts'
import type { InferenceHost } from './runtime/host.ts'
import type { InputFrame } from './runtime/tasks/prepared.ts'

export type Proof =
  /** `exact`: every answer was the recorded one bit for bit. */
  { readonly ok: true; readonly cases: number; readonly exact: boolean } | Unproven

/** `answer`: the model is wrong here, and will be again. `run`: no answer came, which may be the fault of the moment. */
export interface Unproven {
  readonly ok: false
  readonly cause: 'answer' | 'run'
  readonly reason: string
}

/** The process was ended, perhaps for another model's sake, or had no room for this one. */
const OF_THE_MOMENT: ReadonlySet<ErrorCode> = new Set(['busy', 'timeout', 'crashed', 'unknown-model'])

/** What float kernels of another instruction set may differ by (measured: below 2e-6), with room. */
const OTHER_ISA_TOLERANCE = 1e-3

/** A GPU adds in another order, and rounds to 10 bits where it may: not measured, taken from what is usual for such kernels. */
const GPU_TOLERANCE = 2e-2

/** `provider` is asked where there is one: a GPU gives no CPU's bits. */
type Prover = Pick<InferenceHost, 'run'> & Partial<Pick<InferenceHost, 'provider'>>

/** As they travel; rejects where one cannot be read. */
export const goldenFrames = ({ manifest, folder }: ModelPackage): Promise<InputFrame[]> =>
  Promise.all(
    manifest.golden.map(async ({ frame, contentType }) => ({
      contentType,
      data: await readFile(join(folder, frame.path)),
    })),
  )

/** The package must be loaded in the host. Never rejects: a model that cannot run is not proven. */
export async function proveGoldens(host: Prover, pkg: ModelPackage): Promise<Proof> {
  let exact = 0
  for (const golden of pkg.manifest.golden) {
    const compared = await compareOne(host, pkg, golden)
    if (!compared.ok) return { ...compared, reason: `${golden.frame.path}: ${compared.reason}` }
    exact += Number(compared.exact)
  }
  const cases = pkg.manifest.golden.length
  return { ok: true, cases, exact: exact === cases }
}

async function compareOne(
  host: Prover,
  pkg: ModelPackage,
  { frame, contentType, digest, result }: GoldenCase,
): Promise<{ readonly ok: true; readonly exact: boolean } | Unproven> {
  const data = await readFile(join(pkg.folder, frame.path)).catch(() => undefined)
  if (data === undefined) return unproven('run', 'the frame cannot be read')
  const outcome = await host.run(pkg, { contentType, data })
  if (!outcome.ok) {
    const { code, message } = outcome.error
    return unproven(OF_THE_MOMENT.has(code) ? 'run' : 'answer', `${code}: ${message}`)
  }
  if (outcome.digest === digest) return { ok: true, exact: true }
  const tolerance = toleranceOf(pkg, host)
  if (tolerance === undefined)
    return unproven(
      'answer',
      `its answer is not the recorded one (digest ${short(outcome.digest)}, not ${short(digest)})`,
    )
  if (isClose(outcome.prediction, result, tolerance)) return { ok: true, exact: false }
  return unproven('answer', `the answer is further than ${tolerance} from the recorded one`)
}

const short = (digest: string): string => `${digest.slice(0, 12)}…`

const unproven = (cause: Unproven['cause'], reason: string): Unproven => ({ ok: false, cause, reason })

/** Undefined where only the same bits will do. Goldens are recorded on x64. */
function toleranceOf({ manifest: { determinism } }: ModelPackage, host: Prover): number | undefined {
  const isGpu = host.provider !== undefined && host.provider().used !== 'cpu'
  const near = determinism.class === 'near' ? determinism.tolerance : undefined
  if (isGpu) return Math.max(GPU_TOLERANCE, near ?? 0)
  return determinism.class === 'exact-per-isa' && process.arch !== 'x64' ? OTHER_ISA_TOLERANCE : near
}

/** Classes and objects by what they are, not by their place: with nearly the same score two may change it. */
function isClose(a: Prediction, b: Prediction, tolerance: number): boolean {
  if (a.kind === 'classification' && b.kind === 'classification')
    return isIn(a.labels, b.labels, tolerance) && isIn(b.labels, a.labels, tolerance)
  if (a.kind === 'detection' && b.kind === 'detection')
    return (
      a.objects.length === b.objects.length &&
      a.objects.every((object) => b.objects.some((other) => closeTo(object, other, tolerance)))
    )
  return closeTo(a, b, tolerance)
}

type Labels = Extract<Prediction, { kind: 'classification' }>['labels']

/** Every class of `these` is among `those` with the same score, or so low that it just did not get in. */
const isIn = (these: Labels, those: Labels, tolerance: number): boolean =>
  these.every(({ index, score }) => {
    const twin = those.find((label) => label.index === index) ?? those.at(-1)
    if (twin === undefined) return false
    return twin.index === index ? Math.abs(score - twin.score) <= tolerance : score <= twin.score + tolerance
  })

function closeTo(a: unknown, b: unknown, tolerance: number): boolean {
  if (typeof a === 'number' && typeof b === 'number') return Math.abs(a - b) <= tolerance
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  const [x, y] = [Object.entries(a), new Map(Object.entries(b))]
  return x.length === y.size && x.every(([key, value]) => closeTo(value, y.get(key), tolerance))
}
