// The board's Ed25519 key: made on the first run, kept as PKCS8 PEM that only its user may read. It signs enrolment,
// renewals and receipts; it never holds money.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { join } from 'node:path'
import { deviceIdOf, rawPublicKey } from '../../broker/protocol/credentials.ts'
import { createPrivate, readPrivate } from '../private-file.ts'

export class IdentityError extends Error {
  override readonly name = 'IdentityError'
  readonly code: 'not-a-key' | 'wrong-kind'
  constructor(code: IdentityError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface Identity {
  /** `dev-…`, derived from the key. */
  readonly device: string
  readonly privateKey: KeyObject
  /** 43 characters of base64url. */
  readonly publicKey: string
  /** Ed25519 signature over the UTF-8 text, 86 characters of base64url. */
  prove(text: string): string
}

/** The key in `folder`, made when there is none. Throws PrivateFileError or IdentityError. */
export function openIdentity(folder: string): Identity {
  const file = join(folder, 'identity.key')
  const pem = readPrivate(file) ?? createKey(file)
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (error) {
    throw new IdentityError(
      'not-a-key',
      `${file} is not a PEM private key: restore it, or delete it and enrol again`,
      error,
    )
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new IdentityError('wrong-kind', `${file} holds a key of type ${key.asymmetricKeyType}, expected ed25519`)
  return identityOf(key)
}

function createKey(file: string): string {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return createPrivate(file, pem) ? pem : (readPrivate(file) ?? '')
}

function identityOf(privateKey: KeyObject): Identity {
  const raw = rawPublicKey(createPublicKey(privateKey))
  return {
    device: deviceIdOf(raw),
    privateKey,
    publicKey: Buffer.from(raw).toString('base64url'),
    prove: (text) => sign(null, Buffer.from(text), privateKey).toString('base64url'),
  }
}
