// A folder with a version of the agent as a signed release: every file by its digest, and the list of them signed.
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OUTBOX_WRITES } from '../../agent/outbox/migrations.ts'
import { readPrivate } from '../../agent/private-file.ts'
import { digestOfRelease } from '../../broker/protocol/packages.ts'
import { type SoftwareFile, SoftwareRelease, signSoftware } from '../../broker/protocol/software.ts'
import type { Architecture } from '../deb/elf.ts'
import { BuildError } from '../deb/packages.ts'

export const RELEASE_FILE = 'release.jws'

export interface Signer {
  readonly publisher: string
  readonly key: KeyObject
}

/** Throws BuildError, or PrivateFileError for a key that others may read. */
export function readKey(file: string): KeyObject {
  const pem = readPrivate(file)
  if (pem === undefined)
    throw new BuildError(`there is no key at ${file}: make one with: npx bramble models keygen ${file}`)
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // Said below: what it is not matters less than what it should be.
  }
  throw new BuildError(`${file} holds no Ed25519 private key in PEM`)
}

function filesIn(folder: string): SoftwareFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !(entry.parentPath === folder && entry.name === RELEASE_FILE))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => {
      const { size, mode } = statSync(file)
      const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
      return { path: file.slice(folder.length + 1), sha256, bytes: size, ...((mode & 0o100) !== 0 && { run: true }) }
    })
}

interface Facts extends Signer {
  /** As layOutProgram filled it. */
  readonly folder: string
  readonly architecture: Architecture
  readonly version: string
  readonly now: number
}

/** Writes `release.jws` into the folder and answers what names it. Throws BuildError where boards would not take it. */
export function signFolder({ folder, architecture, version, publisher, key, now }: Facts): string {
  const release = SoftwareRelease.safeParse({
    software: 'bramble-agent',
    version,
    arch: architecture,
    publisher,
    at: new Date(now).toISOString(),
    outbox: OUTBOX_WRITES,
    files: filesIn(folder),
  })
  if (!release.success) throw new BuildError(`${folder} makes no release: ${release.error.message}`)
  const jws = signSoftware(release.data, key)
  writeFileSync(join(folder, RELEASE_FILE), `${jws}\n`)
  return digestOfRelease(jws)
}
