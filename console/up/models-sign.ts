// Publisher keys and signatures, made where the key is: the console never sees a publisher's private key.
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { signRelease } from '../../broker/protocol/packages.ts'
import { readPackage } from '../../models/catalog.ts'
import { faultOfList, openPackage } from '../../models/contents.ts'
import { releaseOf } from '../registry/folder.ts'
import { rawKeyOf, readPublisherKey } from '../registry/registry.ts'
import { readSecret, writeSecret } from '../secrets.ts'
import { newPublisherKey } from '../start/keys.ts'
import { ConsoleFault } from './console-api.ts'

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')

/** Makes a key file that was not there, 0600, and answers the public half. Rejects with ConsoleFault. */
export async function makeKey(file: string): Promise<string> {
  let pem = newPublisherKey()
  // The public half is typed on command lines, which would read a dash at its beginning as an option.
  while (rawKeyOf(readPublisherKey(pem)).startsWith('-')) pem = newPublisherKey()
  try {
    await writeSecret(file, pem)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST')
      throw new ConsoleFault('not-written', `${file} cannot be written (${codeOf(error)})`, error)
    throw new ConsoleFault('not-written', `${file} exists already; a key is never overwritten`, error)
  }
  return rawKeyOf(readPublisherKey(pem))
}

/** Rejects with ConsoleFault, or with SecretError for a file that others may read. */
export async function readKey(file: string) {
  const pem = await readSecret(file)
  if (pem === undefined)
    throw new ConsoleFault('unreadable', `there is no key at ${file}: make one with: bramble models keygen ${file}`)
  try {
    return readPublisherKey(pem)
  } catch (error) {
    throw new ConsoleFault('unreadable', `${file} holds no Ed25519 private key in PEM`, error)
  }
}

export interface Signing {
  readonly folder: string
  readonly keyFile: string
  readonly publisher: string
  readonly now: number
}

/** The signed release of a package, checked before as a board will check it. Rejects with the fault found. */
export async function signFolder({ folder, keyFile, publisher, now }: Signing): Promise<string> {
  const key = await readKey(keyFile)
  const release = await releaseOf(await readPackage(folder), publisher, now)
  const fault = faultOfList(release)
  const opened = fault === undefined ? await openPackage(folder, release) : undefined
  if (opened?.ok === true) return signRelease(release, key)
  throw new ConsoleFault('unreadable', `${folder} is no package a board would take: ${fault ?? opened?.reason}`)
}

/** Public text: a release may be handed around. */
export async function writeRelease(file: string, jws: string): Promise<void> {
  try {
    const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o644)
    await handle.writeFile(`${jws}\n`)
    await handle.close()
  } catch (error) {
    throw new ConsoleFault('not-written', `${file} cannot be written (${codeOf(error)})`, error)
  }
}
