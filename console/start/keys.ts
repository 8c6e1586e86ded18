// The console's own keys in DATA/keys: the token of its API, the key that signs credentials, and the one that signs packages.
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { readOrMakeSecret } from '../secrets.ts'

export interface ConsoleKeys {
  /** 256 random bits, base64url. */
  readonly token: string
  /** P-256, for ES256. */
  readonly signing: KeyObject
  /** Ed25519, of the console's own publisher. */
  readonly publisher: KeyObject
}

const newSigningKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

export const newPublisherKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

export async function readConsoleKeys(folder: string, randomBytes: (size: number) => Buffer): Promise<ConsoleKeys> {
  const newToken = (): string => randomBytes(32).toString('base64url')
  return {
    token: await readOrMakeSecret(join(folder, 'console.token'), newToken),
    signing: createPrivateKey(await readOrMakeSecret(join(folder, 'credentials.pem'), newSigningKey)),
    publisher: createPrivateKey(await readOrMakeSecret(join(folder, 'publisher.pem'), newPublisherKey)),
  }
}
