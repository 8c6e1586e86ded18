// Versions of the agent that boards may be told to run: one release for each architecture, kept for good, and at hand in memory.
import type { Kysely, Selectable } from 'kysely'
import type { SoftwareState } from '../../broker/protocol/messages.ts'
import { type Arch, SoftwareRelease, verifySoftware } from '../../broker/protocol/software.ts'
import { compareVersions } from '../../models/catalog.ts'
import type { Publishers } from '../registry/publishers.ts'
import type { Kind } from '../registry/publishing.ts'
import { RegistryError } from '../registry/registry-error.ts'
import type { Database } from '../store/schema.ts'

/** Of the 512 files that a release may name with ordinary paths, twice. */
export const MAX_SOFTWARE_RELEASE_BYTES = 256 * 1024

export interface KeptSoftware {
  readonly digest: string
  readonly release: SoftwareRelease
  readonly publishedAt: number
}

/** What a board says of the version that it runs. */
type Running = Pick<SoftwareState, 'version' | 'outboxReads'>

/** Whether a board could come back from it. One that does not say what it reads judges by itself. */
const fits = ({ release }: KeptSoftware, { outboxReads = Infinity }: Running): boolean => release.outbox <= outboxReads

/**
 * A newer version that brings a board towards `newest`, which writes an outbox that the board cannot read yet: a new layout comes in
 * two releases (agent/outbox/migrations.ts), and a board that was off may have missed the first. `offers` come newest first.
 */
export const stepTo = (
  newest: KeptSoftware,
  offers: () => readonly KeptSoftware[],
  running: Running,
): KeptSoftware | undefined =>
  fits(newest, running)
    ? undefined
    : offers().find((kept) => fits(kept, running) && compareVersions(kept.release.version, running.version) > 0)

export interface SoftwareShelf {
  /** The highest version first. */
  list(): readonly KeptSoftware[]
  /** Undefined also where its publisher was revoked: nobody is told to run it. */
  find(version: string, arch: Arch): KeptSoftware | undefined
  /** Digests of all files that a release names. */
  named(): ReadonlySet<string>
  jws(digest: string): Promise<string | undefined>
  readonly kind: Kind<SoftwareRelease, KeptSoftware>
}

const REFUSALS = {
  malformed: 'This is no release of the agent: make it with `npm run firmware:release`.',
  'unknown-publisher': 'Its publisher is not trusted here: let it in with `bramble software trust`.',
  'bad-signature': "The signature is not its publisher's: sign it with the key of that publisher.",
} as const

const bodyOf = (jws: string): unknown => JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString('utf8'))

/** The signature was checked before the row was written. */
const fromRow = ({ digest, jws, published_at }: Selectable<Database['software_releases']>): KeptSoftware => ({
  digest,
  release: SoftwareRelease.parse(bodyOf(jws)),
  publishedAt: published_at,
})

const inOrder = (a: KeptSoftware, b: KeptSoftware): number =>
  compareVersions(b.release.version, a.release.version) || a.release.arch.localeCompare(b.release.arch)

interface Options {
  readonly db: Kysely<Database>
  readonly publishers: Pick<Publishers, 'keyOf'>
  readonly now: () => number
}

export async function openSoftwareShelf({ db, publishers, now }: Options): Promise<SoftwareShelf> {
  const rows = await db.selectFrom('software_releases').selectAll().execute()
  let known: readonly KeptSoftware[] = rows.map(fromRow).sort(inOrder)
  const files = new Map(known.flatMap(({ release }) => release.files.map(({ sha256, bytes }) => [sha256, bytes])))

  const here = (version: string, arch: Arch): KeptSoftware | undefined =>
    known.find(({ release }) => release.version === version && release.arch === arch)

  return {
    list: () => known,
    find(version, arch) {
      const kept = here(version, arch)
      return kept && publishers.keyOf(kept.release.publisher) !== undefined ? kept : undefined
    },
    named: () => new Set(files.keys()),
    async jws(digest) {
      if (!known.some((kept) => kept.digest === digest)) return undefined
      const row = await db.selectFrom('software_releases').select('jws').where('digest', '=', digest).executeTakeFirst()
      return row?.jws
    },
    kind: {
      read(jws) {
        const verified = verifySoftware(jws, publishers.keyOf)
        if (!verified.ok) throw new RegistryError(verified.reason, REFUSALS[verified.reason])
        return verified
      },
      nameOf: ({ software, version, arch }) => `${software} ${version} for ${arch}`,
      twinOf({ version, arch }) {
        const kept = here(version, arch)
        return kept && { release: kept.release, kept }
      },
      async keep({ digest, jws, release }) {
        const { version, arch, publisher } = release
        const kept = { digest, release, publishedAt: now() }
        await db
          .insertInto('software_releases')
          .values({ digest, version, arch, publisher_id: publisher, jws, published_at: kept.publishedAt })
          .execute()
        for (const { sha256, bytes } of release.files) files.set(sha256, bytes)
        known = [...known, kept].sort(inOrder)
        return kept
      },
      bytesOf: (sha256) => files.get(sha256),
    },
  }
}
