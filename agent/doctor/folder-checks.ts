// The data folder and what is in it: key, credential, outbox. Nothing is made and nothing is changed.
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { CredentialError, readCredential, renewalAt, type StoredCredential } from '../membership/credential.ts'
import { type Identity, IdentityError, openIdentity } from '../membership/identity.ts'
import { noticesOf } from '../outbox/set-aside.ts'
import { PrivateFileError } from '../private-file.ts'
import { type Check, fail, ok, skip, spanOf, warn } from './check.ts'
import { holderOf } from './holder.ts'

export interface Membership {
  readonly identity?: Identity
  readonly credential?: StoredCredential
}

export function checkFolder({ data }: Config): Check {
  const name = 'data folder'
  const stat = statSync(data, { throwIfNoEntry: false })
  if (stat === undefined)
    return fail(
      name,
      `${data} is not there`,
      'name the folder of the agent with --data, or begin one: bramble-agent enroll --console URL --token TOKEN',
    )
  if (!stat.isDirectory()) return fail(name, `${data} is no folder`, 'name another with --data')
  try {
    accessSync(data, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch {
    return fail(name, `${data} cannot be written by this user`, 'run the doctor as the user of the agent, or as root')
  }
  const open = stat.mode & 0o077
  return open === 0
    ? ok(name, `${data}, writable, for its user only`)
    : warn(name, `${data} can be read by others`, `chmod 700 ${data}`)
}

const ENROL = 'enrol again: bramble-agent enroll --console URL --token TOKEN'
const KNOWN = [CredentialError, IdentityError, PrivateFileError]

/** The key is only read: a doctor that makes one would change what it examines. */
export function readMembership({ data }: Config): Membership | Check {
  try {
    if (!existsSync(join(data, 'identity.key'))) return {}
    const identity = openIdentity(data)
    const credential = readCredential(data, identity.device)
    return { identity, ...(credential && { credential }) }
  } catch (error) {
    if (KNOWN.some((kind) => error instanceof kind) && error instanceof Error)
      return fail('credential', error.message, 'do what it says, then run the doctor again')
    throw error
  }
}

export function checkCredential({ credential }: Membership, config: Config, now: number): Check {
  const name = 'credential'
  if (config.device !== undefined) return skip(name, `works as ${config.device} without a console`)
  if (credential === undefined)
    return fail(name, 'this board is not enrolled', 'bramble-agent enroll --console URL --token TOKEN')
  const leftMs = Date.parse(credential.expiresAt) - now
  const day = credential.expiresAt.slice(0, 10)
  if (leftMs <= 0)
    return fail(
      name,
      `expired ${spanOf(leftMs)} ago, on ${day}`,
      `start the agent, which renews it; if it cannot, ${ENROL}`,
    )
  if (now > renewalAt(credential))
    return warn(
      name,
      `ends in ${spanOf(leftMs)} and was not renewed in time`,
      'is the agent running, and does it reach its console?',
    )
  return ok(name, `of ${credential.console}, good until ${day}, private`)
}

/** Process id of the agent that works on this folder; 0 when only that there is one is known. */
export const runningAgent = ({ data }: Config): number | undefined => holderOf(join(data, 'buffer.db'))

const MIB = 1024 * 1024

export function checkOutbox(config: Config, running: number | undefined): Check {
  const name = 'outbox'
  const file = join(config.data, 'buffer.db')
  const [notice] = noticesIn(file)
  if (notice !== undefined) return warn(name, notice, `keep what you need of it, then delete it`)
  const bytes = ['', '-wal'].reduce(
    (sum, part) => sum + (statSync(file + part, { throwIfNoEntry: false })?.size ?? 0),
    0,
  )
  const size = `${(bytes / MIB).toFixed(1)} of ${config.outboxMiB} MiB`
  if (running !== undefined)
    return ok(name, `${size}, in use by the agent${running > 0 ? ` (process ${running})` : ''}`)
  return existsSync(file) ? ok(name, `${size}; no agent is running`) : ok(name, 'none yet; no agent has run here')
}

const noticesIn = (file: string): string[] => (existsSync(join(file, '..')) ? noticesOf(file) : [])
