// The birth message: what this board is and what it serves, retained for whoever looks later.
import type { InfoMessage, PackageState, Runtime, SoftwareState } from '../../broker/protocol/messages.ts'
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
  /** On their way to being served, or refused. */
  readonly packages: readonly PackageState[]
  readonly software: SoftwareState | undefined
  readonly notices: string[]
  readonly provider: ProviderReport
  readonly hosts: NonNullable<InfoMessage['hosts']>
  readonly limits: InfoMessage['limits']
}): InfoMessage => ({
  ...facts,
  at: new Date(facts.at).toISOString(),
  packages: [...facts.packages],
  provider: { ...facts.provider, wanted: [...facts.provider.wanted] },
  models: facts.models.map(({ manifest, sha256 }) => ({
    id: manifest.id,
    version: manifest.version,
    digest: sha256,
    task: manifest.task,
  })),
})
