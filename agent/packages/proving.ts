// From a package on disk to one that serves: opened with every digest, loaded beside what is served, its golden cases run on
// this board, and only then put in the place of the old one.
import type { Logger } from 'pino'
import { type ModelPackage, nameOf } from '../../models/catalog.ts'
import { openPackage } from '../../models/contents.ts'
import { HostError } from '../../models/runtime/host.ts'
import type { Clock } from '../clock.ts'
import type { Serving } from '../frames/serving.ts'
import type { Cache } from './cache.ts'
import { PackageFault } from './fault.ts'
import { createJudging, type Proof } from './judging.ts'
import type { ServedRecord } from './record.ts'
import type { Verdicts } from './verdicts.ts'
import type { View } from './view.ts'

/** A model that fails once may have met a process that was ended for another's sake. */
const ATTEMPTS = 2

interface Options {
  readonly serving: Pick<Serving, 'served' | 'prepare' | 'activate' | 'release'>
  /** Runs the golden cases of a loaded package. */
  readonly prove: (pkg: ModelPackage) => Promise<Proof>
  /** Resolves when no frame taken for this package waits or runs any more. */
  readonly drained: (pkg: ModelPackage) => Promise<void>
  readonly cache: Pick<Cache, 'evict'>
  readonly verdicts: Pick<Verdicts, 'set'>
  readonly record: Pick<ServedRecord, 'activated'>
  /** Agent and runtime, once known. */
  readonly under: () => string | undefined
  readonly clock: Pick<Clock, 'elapsed'>
  readonly log: Logger
}

export interface Proving {
  /** The checked package. Rejects with PackageFault `damaged`, and the package is gone; undefined where it is refused for good. */
  open(view: View, release: string): Promise<ModelPackage | undefined>
  /** Rejects with PackageFault where no answer came: another time one may. */
  prove(view: View, release: string, signal: AbortSignal): Promise<void>
  activate(view: View, release: string): Promise<void>
  /** Takes a package that was served out of memory, once its frames are done. */
  dismiss(pkg: ModelPackage | undefined): void
  releaseOf(pkg: ModelPackage): string | undefined
  refuse(release: string, reason: string): void
}

export function createProving(options: Options): Proving {
  const { serving, drained, cache, record, log } = options
  const { judge, refuse } = createJudging(options)
  const opened = new Map<string, ModelPackage>()
  const releases = new WeakMap<ModelPackage, string>()

  async function open({ signed }: View, release: string): Promise<ModelPackage | undefined> {
    const known = opened.get(release)
    const entry = signed.get(release)
    if (known?.folder === entry?.folder || !entry) return known
    const result = await openPackage(entry.folder, entry.release)
    if (result.ok) {
      opened.set(release, result.pkg)
      releases.set(result.pkg, release)
      return result.pkg
    }
    if (result.fault === 'refused') {
      refuse(release, result.reason)
      return undefined
    }
    await cache.evict(release)
    throw new PackageFault('damaged', `${result.reason}; it is fetched again`)
  }

  /** Under a name of its own where the same id and version is served with other bytes: those must not be touched before. */
  function candidateOf(pkg: ModelPackage): ModelPackage {
    const isTaken = serving.served().some((other) => other !== pkg && nameOf(other) === nameOf(pkg))
    return isTaken ? { ...pkg, manifest: { ...pkg.manifest, version: `${pkg.manifest.version}-candidate` } } : pkg
  }

  async function attempt(candidate: ModelPackage): Promise<Proof> {
    try {
      await serving.prepare(candidate)
      return await options.prove(candidate)
    } catch (error) {
      if (!(error instanceof HostError)) throw error
      if (error.code !== 'load-failed') throw new PackageFault('busy', error.message, error)
      return { ok: false, cause: 'run', reason: error.message }
    }
  }

  async function attempts(candidate: ModelPackage, signal: AbortSignal): Promise<Proof> {
    let proof: Proof = { ok: false, cause: 'run', reason: 'it was not tried' }
    for (let n = 0; n < ATTEMPTS && !proof.ok; n += 1) {
      proof = await attempt(candidate)
      // A host that closes answers `busy`: that says nothing about the model.
      signal.throwIfAborted()
    }
    return proof
  }

  /** Unless it is served again by now. */
  function forget(pkg: ModelPackage): void {
    const release = releases.get(pkg)
    if (release !== undefined && !serving.served().includes(pkg)) opened.delete(release)
  }

  function dismiss(pkg: ModelPackage | undefined): void {
    if (!pkg) return
    drained(pkg)
      .then(() => serving.release(pkg))
      .then(() => forget(pkg))
      .catch((error: unknown) => log.error({ model: nameOf(pkg), err: error }, 'a model was not taken out of memory'))
  }

  return {
    open,
    async prove(view, release, signal) {
      const pkg = await open(view, release)
      if (!pkg) return
      if (pkg.manifest.golden.length === 0)
        return refuse(release, 'it names no golden cases, so nothing shows that it works on this board')
      const candidate = candidateOf(pkg)
      const proof = await attempts(candidate, signal)
      if (!proof.ok || candidate !== pkg) await serving.release(candidate)
      judge(release, proof)
    },
    async activate(view, release) {
      const pkg = await open(view, release)
      if (!pkg) return
      try {
        dismiss(await serving.activate(pkg))
      } catch (error) {
        if (!(error instanceof HostError)) throw error
        throw new PackageFault('busy', error.message, error)
      }
      record.activated(pkg.manifest.id, release)
    },
    dismiss,
    releaseOf: (pkg) => releases.get(pkg),
    refuse,
  }
}
