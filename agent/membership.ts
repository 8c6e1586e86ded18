// As whom this board speaks on which broker: enrolled at a console, or plain MQTT under a name of its own.
import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import { readCredential, writeCredential } from './membership/credential.ts'
import { createConsole } from './membership/enroll.ts'
import type { Identity } from './membership/identity.ts'
import { createRenewal, type Renewal } from './membership/renewal.ts'

export class MembershipError extends Error {
  override readonly name = 'MembershipError'
  readonly code: 'not-enrolled' | 'no-password'
  constructor(code: MembershipError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface Membership {
  readonly device: string
  /** The name people see. */
  readonly name: string
  readonly root: string
  /** Of the broker, as the newest credential says. */
  readonly url: () => string
  readonly login: { readonly username?: string; readonly password?: () => string }
  /** Present at a console: receipts are made and its acks are waited for. Without, the PUBACK is the ack. */
  readonly renewal?: Renewal
}

interface Options {
  readonly config: Config
  readonly identity: Identity
  readonly now: () => number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly log: Logger
}

export function openMembership(options: Options): Membership {
  const { device, mqttUrl } = options.config
  return device !== undefined && mqttUrl !== undefined
    ? plainMembership(options.config, device, mqttUrl)
    : enrolled(options)
}

/** Throws MembershipError when the password file cannot be read. */
export function plainMembership({ root, username, passwordFile }: Config, device: string, url: string): Membership {
  const login = {
    username: username ?? device,
    ...(passwordFile !== undefined && { password: passwordIn(passwordFile) }),
  }
  const named = username !== undefined || passwordFile !== undefined
  return { device, name: device, root, url: () => url, login: named ? login : {} }
}

function passwordIn(file: string): () => string {
  let password: string
  try {
    password = readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new MembershipError('no-password', `the password file ${file} cannot be read`, error)
  }
  return () => password
}

function enrolled({ config, identity, now, sleep, log }: Options): Membership {
  const credential = readCredential(config.data, identity.device)
  if (credential === undefined)
    throw new MembershipError(
      'not-enrolled',
      'this board is not enrolled: run `bramble-agent enroll --console URL --token TOKEN` first, or work without a console with --mqtt-url URL --device ID',
    )
  const console = createConsole({ url: credential.console, identity, now })
  const save = (renewed: typeof credential): void => writeCredential(config.data, renewed)
  const renewal = createRenewal({ credential, renew: console.renew, save, now, sleep, log })
  return {
    device: identity.device,
    name: credential.name,
    root: credential.mqtt.root,
    url: () => config.mqttUrl ?? renewal.current().mqtt.url,
    login: { username: identity.device, password: () => renewal.current().credential },
    renewal,
  }
}
