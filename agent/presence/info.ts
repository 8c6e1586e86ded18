// The birth message: what this board is and what it serves, retained for whoever looks later.
import type { Comparison, InfoMessage, PackageState, Runtime, SoftwareState } from '../../broker/protocol/messages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { ProviderReport } from '../../models/runtime/host.ts'
import type { Board } from './vitals.ts'

export const infoOf = (facts: {
  readonly device: string
  readonly name: string
  readonly boot: string
  readonly at: number
  readonly version: string
  readonly board: Board
  readonly runtime: Runtime
  readonly models: readonly ModelPackage[]
  /** By the digest of the model file. */
  readonly comparisons: readonly (Comparison & { readonly digest: string })[]
  /** On their way to being served, or refused. */
  readonly packages: readonly PackageState[]
  readonly software: SoftwareState | undefined
  readonly notices: string[]
  readonly provider: ProviderReport
  readonly hosts: NonNullable<InfoMessage['hosts']>
  readonly limits: InfoMessage['limits']
}): InfoMessage => {
  const { comparisons, ...said } = facts
  return {
    ...said,
    at: new Date(facts.at).toISOString(),
    packages: [...facts.packages],
    provider: { ...facts.provider, wanted: [...facts.provider.wanted] },
    models: facts.models.map(({ manifest, sha256 }) => ({
      id: manifest.id,
      version: manifest.version,
      digest: sha256,
      task: manifest.task,
      ...besideFp32(comparisons, sha256),
    })),
  }
}

function besideFp32(comparisons: readonly (Comparison & { readonly digest: string })[], sha256: string) {
  const found = comparisons.find(({ digest }) => digest === sha256)
  if (!found) return {}
  const { quantizedMs, fp32Ms, agree, frames } = found
  return { besideFp32: { quantizedMs, fp32Ms, agree, frames } }
}
