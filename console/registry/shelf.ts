// The releases that boards may be told to serve: kept for good in the database, and at hand in memory, since every board asks.
import type { Kysely, Selectable } from 'kysely'
import { z } from 'zod'
import { Release } from '../../broker/protocol/packages.ts'
import { compareVersions, type ModelPackage } from '../../models/catalog.ts'
import type { Database } from '../store/schema.ts'

/** What a page or a receipt needs to know of a model without opening its package. */
export const Summary = z.object({
  title: z.string(),
  task: z.string(),
  /** Of the model file: what boards name in their receipts and their birth message. */
  sha256: z.string(),
  bytes: z.int(),
  licence: z.object({ package: z.string(), weights: z.string(), attribution: z.string().optional() }),
  quantization: z.string(),
  determinism: z.string(),
})
export type Summary = z.infer<typeof Summary>

export const summaryOf = ({
  manifest,
  sha256,
  bytes,
}: Pick<ModelPackage, 'manifest' | 'sha256' | 'bytes'>): Summary => ({
  title: manifest.title,
  task: manifest.task,
  sha256,
  bytes,
  licence: manifest.licence,
  quantization: manifest.quantization.kind,
  determinism: manifest.determinism.class,
})

export interface Kept {
  readonly digest: string
  readonly release: Release
  readonly summary: Summary
  readonly publishedAt: number
  /** Of all its files. */
  readonly bytes: number
}

export interface Shelf {
  /** By model, then by version, the highest first. */
  list(): readonly Kept[]
  get(digest: string): Kept | undefined
  find(model: string, version: string): Kept | undefined
  /** The size of a file that some release names. */
  bytesOf(sha256: string): number | undefined
  /** Digests of all files that a release names. */
  named(): ReadonlySet<string>
  jws(digest: string): Promise<string | undefined>
  add(entry: { digest: string; jws: string; release: Release; summary: Summary; at: number }): Promise<Kept>
}

const sum = ({ files }: Release): number => files.reduce((total, { bytes }) => total + bytes, 0)

const bodyOf = (jws: string): unknown => JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString('utf8'))

/** The signature was checked before the row was written. */
function fromRow(row: Selectable<Database['releases']>): Kept {
  const release = Release.parse(bodyOf(row.jws))
  const summary = Summary.parse(JSON.parse(row.summary))
  return { digest: row.digest, release, summary, publishedAt: row.published_at, bytes: sum(release) }
}

const inOrder = (a: Kept, b: Kept): number =>
  a.release.id.localeCompare(b.release.id) || compareVersions(b.release.version, a.release.version)

export async function openShelf(db: Kysely<Database>): Promise<Shelf> {
  const known = new Map<string, Kept>()
  const files = new Map<string, number>()
  let sorted: readonly Kept[] = []

  function take(kept: Kept): void {
    known.set(kept.digest, kept)
    for (const { sha256, bytes } of kept.release.files) files.set(sha256, bytes)
  }
  for (const row of await db.selectFrom('releases').selectAll().execute()) take(fromRow(row))
  sorted = [...known.values()].sort(inOrder)

  return {
    list: () => sorted,
    get: (digest) => known.get(digest),
    find: (model, version) => sorted.find(({ release }) => release.id === model && release.version === version),
    bytesOf: (sha256) => files.get(sha256),
    named: () => new Set(files.keys()),

    async jws(digest) {
      if (!known.has(digest)) return undefined
      return (await db.selectFrom('releases').select('jws').where('digest', '=', digest).executeTakeFirst())?.jws
    },

    async add({ digest, jws, release, summary, at }) {
      const { id: model, version, publisher } = release
      const row = { digest, model, version, publisher_id: publisher, jws, summary: JSON.stringify(summary) }
      await db
        .insertInto('releases')
        .values({ ...row, published_at: at })
        .execute()
      const kept = { digest, release, summary, publishedAt: at, bytes: sum(release) }
      take(kept)
      sorted = [...sorted, kept].sort(inOrder)
      return kept
    },
  }
}
