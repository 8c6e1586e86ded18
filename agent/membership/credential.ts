// credential.json: what the console gave this board at enrolment, and when it should be renewed.
import { join } from 'node:path'
import { z } from 'zod'
import { readPrivate, writePrivate } from '../private-file.ts'

/** The console's answer to POST /enroll and /enroll/renew. */
export const BoardCredential = z.object({
  device: z.string(),
  name: z.string(),
  /** ES256 JWT: the MQTT password. */
  credential: z.string().min(1),
  expiresAt: z.iso.datetime(),
  mqtt: z.object({ url: z.url({ protocol: /^(mqtts?|wss?)$/, hostname: /./ }), root: z.string() }),
})
export type BoardCredential = z.infer<typeof BoardCredential>

export const StoredCredential = BoardCredential.extend({ console: z.string(), obtainedAt: z.iso.datetime() })
export type StoredCredential = z.infer<typeof StoredCredential>

export class CredentialError extends Error {
  override readonly name = 'CredentialError'
  readonly code: 'damaged' | 'other-key'
  constructor(code: CredentialError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

const fileIn = (folder: string): string => join(folder, 'credential.json')

/** The credential of `device` in `folder`, undefined before enrolment. */
export function readCredential(folder: string, device: string): StoredCredential | undefined {
  const text = readPrivate(fileIn(folder))
  if (text === undefined) return undefined
  const parsed = StoredCredential.safeParse(jsonOf(text))
  if (!parsed.success)
    throw new CredentialError(
      'damaged',
      `${fileIn(folder)} is damaged: enrol again with bramble-agent enroll`,
      parsed.error,
    )
  if (parsed.data.device !== device)
    throw new CredentialError(
      'other-key',
      `${fileIn(folder)} belongs to ${parsed.data.device}, but identity.key beside it is ${device}: restore that key or enrol again`,
    )
  return parsed.data
}

export const writeCredential = (folder: string, credential: StoredCredential): void =>
  writePrivate(fileIn(folder), `${JSON.stringify(credential, null, 2)}\n`)

/** Renewal is due at two thirds of its life, so that a console may be away for the last third. */
export function renewalAt({ obtainedAt, expiresAt }: StoredCredential): number {
  const from = Date.parse(obtainedAt)
  return from + ((Date.parse(expiresAt) - from) * 2) / 3
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
