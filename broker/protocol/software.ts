// How the agent's own programs travel: a release of one version for one architecture, signed by a publisher of software. Its
// keys are others than those of model publishers, and a console has no say in them: who breaks into one runs no code on boards.
import type { KeyObject } from 'node:crypto'
import { z } from 'zod'
import { Id, type KeyOf, Sha256, signAs, type Verified, Version, verifyAs } from './packages.ts'

export const Arch = z.enum(['arm64', 'amd64'])
export type Arch = z.infer<typeof Arch>

/** As in packages.ts; besides, a part may begin with one `@`, as the scopes in node_modules do. */
export const SoftwarePath = z
  .string()
  .max(200)
  .regex(/^@?[A-Za-z0-9_][A-Za-z0-9_.-]*(\/@?[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/)

export const MAX_SOFTWARE_FILES = 512
export const MAX_SOFTWARE_BYTES = 512 * 1024 * 1024
/** What the board starts; with the `node` beside it. */
export const SOFTWARE_MAIN = 'agent/main.js'

export const SoftwareFile = z.object({
  path: SoftwarePath,
  sha256: Sha256,
  bytes: z.int().nonnegative(),
  /** It is a program. */
  run: z.boolean().optional(),
})
export type SoftwareFile = z.infer<typeof SoftwareFile>

export const SoftwareRelease = z
  .object({
    software: z.literal('bramble-agent'),
    version: Version,
    arch: Arch,
    publisher: Id,
    at: z.iso.datetime(),
    /** Layout of buffer.db that it writes; a board goes back only to what can read it. */
    outbox: z.int().positive(),
    files: z.array(SoftwareFile).min(1).max(MAX_SOFTWARE_FILES),
  })
  .refine(({ files }) => new Set(files.map(({ path }) => path)).size === files.length, 'names a path twice')
  .refine(({ files }) => files.some(({ path }) => path === SOFTWARE_MAIN), `has no ${SOFTWARE_MAIN}`)
  .refine(({ files }) => files.reduce((sum, { bytes }) => sum + bytes, 0) <= MAX_SOFTWARE_BYTES, 'is too large')
export type SoftwareRelease = z.infer<typeof SoftwareRelease>

const TYPE = 'bramble-software'

/** The compact JWS (EdDSA); `digestOfRelease` names it for good. */
export const signSoftware = (release: SoftwareRelease, privateKey: KeyObject): string =>
  signAs(TYPE, release, privateKey)

/** Checks shape and signature. Never throws on foreign text. */
export const verifySoftware = (jws: string, keyOf: KeyOf): Verified<SoftwareRelease> =>
  verifyAs(TYPE, SoftwareRelease, jws, keyOf)
