// Credentials of devices, requesters and the console: ES256 JWTs that the console signs and any broker can check.
// ES256 because EMQX and its like read no EdDSA; the `acl` claim is the form that EMQX understands.
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWK,
  type JWTVerifyGetKey,
  jwtVerify,
  SignJWT,
} from 'jose'
import { CredentialClaims, type Principal } from './protocol/credentials.ts'

const ALGORITHM = 'ES256'

export interface Issued {
  readonly jwt: string
  /** Epoch milliseconds, on a whole second. */
  readonly expiresAt: number
}

export interface Issuer {
  issue(claims: Pick<CredentialClaims, 'sub' | 'role' | 'acl'>, ttlMs: number): Promise<Issued>
  /** What GET /.well-known/jwks.json serves. */
  jwks(): JSONWebKeySet
}

/** The public half as a JWK; its id is the RFC 7638 thumbprint, so that a new key is told from the old one. */
function publicJwk(privateKey: KeyObject): JWK & { readonly kid: string } {
  const { crv, kty, x, y } = createPublicKey(privateKey).export({ format: 'jwk' })
  if (kty !== 'EC' || crv !== 'P-256' || x === undefined || y === undefined)
    throw new TypeError(`credentials are signed with a P-256 key, not ${crv ?? kty}`)
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
  return { crv, kty, x, y, kid, alg: ALGORITHM, use: 'sig' }
}

/** `privateKey` is a P-256 key of node:crypto (`generateKeyPairSync('ec', { namedCurve: 'P-256' })`). */
export function createIssuer({ privateKey, now }: { privateKey: KeyObject; now: () => number }): Issuer {
  const jwk = publicJwk(privateKey)
  return {
    async issue({ sub, role, acl }, ttlMs) {
      const iat = Math.floor(now() / 1000)
      const exp = Math.floor((now() + ttlMs) / 1000)
      const claims: CredentialClaims = { sub, role, acl, iat, exp }
      const jwt = await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: jwk.kid })
        .sign(privateKey)
      return { jwt, expiresAt: exp * 1000 }
    },
    jwks: () => ({ keys: [jwk] }),
  }
}

export type Verify = (username: string, jwt: string) => Promise<Principal | undefined>

/** The console's keys, fetched when first needed and again when a token names one that is not known. */
export const keysOfConsole = (consoleUrl: string): JWTVerifyGetKey =>
  createRemoteJWKSet(new URL('/.well-known/jwks.json', consoleUrl))

export const keysOf = (jwks: JSONWebKeySet): JWTVerifyGetKey => createLocalJWKSet(jwks)

/** Faults of the token. Anything else (the console does not answer) is not the client's fault and is thrown. */
const TOKEN_FAULTS: ReadonlySet<string> = new Set([
  errors.JWTExpired.code,
  errors.JWTInvalid.code,
  errors.JWTClaimValidationFailed.code,
  errors.JWSInvalid.code,
  errors.JWSSignatureVerificationFailed.code,
  errors.JWKSNoMatchingKey.code,
  errors.JOSEAlgNotAllowed.code,
  errors.JOSENotSupported.code,
])

/** Resolves undefined for a token that is forged, expired, of another user, or without the claims of a credential. */
export function createVerifier({ keys, now }: { keys: JWTVerifyGetKey; now: () => number }): Verify {
  return async (username, jwt) => {
    try {
      const { payload } = await jwtVerify(jwt, keys, { algorithms: [ALGORITHM], currentDate: new Date(now()) })
      const claims = CredentialClaims.safeParse(payload)
      if (!claims.success || claims.data.sub !== username) return undefined
      const { role, sub, acl, exp } = claims.data
      return { role, id: sub, grants: acl, expiresAt: exp * 1000 }
    } catch (error) {
      if (error instanceof errors.JOSEError && TOKEN_FAULTS.has(error.code)) return undefined
      throw error
    }
  }
}
