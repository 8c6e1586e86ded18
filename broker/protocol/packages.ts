// How a model package travels: a release signed by its publisher names every file by digest; the console says which
// releases a board should serve. Files are fetched over HTTP by their digest, so nothing about the way need be trusted.
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { z } from 'zod'

export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/)
export const Id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/)
export const Version = z
  .string()
  .max(64)
  .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/)
/** Forward slashes, no empty, hidden or parent parts. */
export const InsidePath = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/)
/** Raw Ed25519 public key, base64url. */
const PublicKey = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

export const MAX_PACKAGE_FILES = 64
export const MAX_PACKAGE_BYTES = 512 * 1024 * 1024

export const ReleaseFile = z.object({ path: InsidePath, sha256: Sha256, bytes: z.int().positive() })
export type ReleaseFile = z.infer<typeof ReleaseFile>

/** What a publisher signs. One of the files is `model.json`. */
export const Release = z
  .object({
    id: Id,
    version: Version,
    publisher: Id,
    at: z.iso.datetime(),
    files: z.array(ReleaseFile).min(1).max(MAX_PACKAGE_FILES),
  })
  .refine(({ files }) => new Set(files.map(({ path }) => path)).size === files.length, 'names a path twice')
  .refine(({ files }) => files.some(({ path }) => path === 'model.json'), 'has no model.json')
  .refine(({ files }) => files.reduce((sum, { bytes }) => sum + bytes, 0) <= MAX_PACKAGE_BYTES, 'is too large')
export type Release = z.infer<typeof Release>

/** In the header of a release's JWS, so that one kind never passes for another. */
const TYPE = 'bramble-release'
const headerOf = (typ: string): string => Buffer.from(JSON.stringify({ alg: 'EdDSA', typ })).toString('base64url')
/** DER of an Ed25519 SubjectPublicKeyInfo up to the 32 bytes of the key. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

export const publisherKeyOf = (raw: string): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI, Buffer.from(raw, 'base64url')]), format: 'der', type: 'spki' })

/** Names a release for good: sha256 (hex) of its compact JWS. */
export const digestOfRelease = (jws: string): string => createHash('sha256').update(jws).digest('hex')

/** The compact JWS (EdDSA) of what a publisher signs. */
export function signAs(typ: string, content: unknown, privateKey: KeyObject): string {
  const signed = `${headerOf(typ)}.${Buffer.from(JSON.stringify(content)).toString('base64url')}`
  return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`
}

/** The compact JWS of a release. */
export const signRelease = (release: Release, privateKey: KeyObject): string => signAs(TYPE, release, privateKey)

export type Verified<T> =
  | { ok: true; release: T; digest: string }
  | { ok: false; reason: 'malformed' | 'unknown-publisher' | 'bad-signature' }
export type VerifiedRelease = Verified<Release>

/** The raw key of a publisher that is trusted here. */
export type KeyOf = (publisher: string) => string | undefined

/** Checks shape and signature. Never throws on foreign text. */
export const verifyRelease = (jws: string, keyOf: KeyOf): VerifiedRelease => verifyAs(TYPE, Release, jws, keyOf)

export function verifyAs<T extends { publisher: string }>(
  typ: string,
  schema: z.ZodType<T>,
  jws: string,
  keyOf: KeyOf,
): Verified<T> {
  const [header, body, signature, ...extra] = jws.split('.')
  if (header !== headerOf(typ) || body === undefined || signature === undefined || extra.length > 0)
    return { ok: false, reason: 'malformed' }
  const release = schema.safeParse(jsonOf(body))
  if (!release.success) return { ok: false, reason: 'malformed' }
  const raw = PublicKey.safeParse(keyOf(release.data.publisher))
  if (!raw.success) return { ok: false, reason: 'unknown-publisher' }
  if (!verify(null, Buffer.from(`${header}.${body}`), publisherKeyOf(raw.data), Buffer.from(signature, 'base64url')))
    return { ok: false, reason: 'bad-signature' }
  return { ok: true, release: release.data, digest: digestOfRelease(jws) }
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}

/**
 * GET {console}/boards/desired with the board's credential as bearer token: what this board should serve. A model that is not
 * named there is served from the board's own folder, where it is in there; `models` absent: the console has no opinion at all.
 */
export const Desired = z.object({
  /** Grows with every change of models and publishers. */
  revision: z.int().nonnegative(),
  /** The console's clock, epoch milliseconds. */
  now: z.int().positive(),
  publishers: z.array(z.object({ id: Id, key: PublicKey })).max(256),
  models: z
    .array(z.object({ id: Id, version: Version, release: Sha256 }))
    .max(256)
    .refine((models) => new Set(models.map(({ id }) => id)).size === models.length, 'names a model twice')
    .optional(),
  /** The agent's own version (software.ts), where the board said its architecture; absent: it stays as it is. */
  software: z.object({ version: Version, release: Sha256 }).optional(),
})
export type Desired = z.infer<typeof Desired>

/**
 * Below the console's address: GET, bearer token of a board. `desired` names software only to who asks with `?arch=`. A release answers
 * its JWS, a blob its bytes (HTTP ranges work).
 */
export const PACKAGE_PATHS = {
  desired: '/boards/desired',
  release: (digest: string) => `/boards/releases/${digest}`,
  blob: (digest: string) => `/boards/blobs/${digest}`,
} as const
