// Solana CLI key files: a JSON array of 64 bytes (Ed25519 seed, then public key), readable by their owner alone.
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { encodeBase58 } from './base58.ts'
import { ChainError } from './chain-error.ts'

const KeyFile = z.array(z.int().min(0).max(255)).length(64)

export interface ChainKey {
  readonly address: string
  /** Seed and public key, as in the file. */
  readonly secretKey: Uint8Array
}

// DER heads of an Ed25519 private key (PKCS #8, RFC 8410): the 32-byte seed follows.
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')

export const privateKeyOf = (seed: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' })

/** The 32 raw bytes of the public key that belongs to a 32-byte seed. */
export const publicKeyOf = (seed: Uint8Array): Uint8Array =>
  createPublicKey(privateKeyOf(seed)).export({ format: 'der', type: 'spki' }).subarray(-32)

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'

const keyOf = (bytes: Uint8Array, file: string): ChainKey => {
  const publicKey = publicKeyOf(bytes.subarray(0, 32))
  if (!Buffer.from(publicKey).equals(bytes.subarray(32)))
    throw new ChainError(
      'bad-key-file',
      `${file}: the public half does not belong to the secret half; restore the file`,
    )
  return { address: encodeBase58(publicKey), secretKey: bytes }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Refuses (ChainError `bad-key-file`, one sentence) a file that others may read, or that is not a Solana CLI key. */
export async function readKeyFile(file: string): Promise<ChainKey> {
  const info = await stat(file).catch((cause: unknown) => {
    throw new ChainError('bad-key-file', `${file}: cannot be read; name an existing Solana CLI key file`, { cause })
  })
  const mode = info.mode & 0o777
  if ((mode & 0o077) !== 0)
    throw new ChainError(
      'bad-key-file',
      `${file} has mode 0${mode.toString(8)} and others may read it; run: chmod 600 ${file}`,
    )
  const bytes = KeyFile.safeParse(parse(await readFile(file, 'utf8')))
  if (!bytes.success)
    throw new ChainError('bad-key-file', `${file} is not a Solana CLI key file: it must be a JSON array of 64 bytes`)
  return keyOf(Uint8Array.from(bytes.data), file)
}

/** Reads the key, or makes it when the file is absent. Only a local chain's keys may be made: others hold real money. */
export async function readOrCreateKeyFile(file: string, random = randomBytes): Promise<ChainKey> {
  try {
    await stat(file)
  } catch (error) {
    if (!isMissing(error)) throw error
    await createKeyFile(file, random(32))
  }
  return readKeyFile(file)
}

async function createKeyFile(file: string, seed: Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  // `wx`: never over an existing key. fsync: a key that was paid into must survive a power cut.
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(JSON.stringify([...seed, ...publicKeyOf(seed)]))
    await handle.sync()
  } finally {
    await handle.close()
  }
  // A umask may only narrow the mode, but some file systems ignore it on creation.
  await chmod(file, 0o600)
}
