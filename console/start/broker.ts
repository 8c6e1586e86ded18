// The broker of this start: the embedded one, or the address of another. And who may come in.
import { startBroker } from '../../broker/embedded.ts'
import type { Issuer, Verify } from '../../broker/jwt.ts'
import { consoleGrants, type Principal } from '../../broker/protocol/credentials.ts'
import type { Config } from '../config.ts'
import type { Requesters } from '../market/requesters.ts'
import { dialable } from './addresses.ts'
import type { Surroundings } from './surroundings.ts'

export interface Broker {
  readonly url: string
  readonly wsUrl: string | undefined
  /** None of an external broker. */
  stats(): Readonly<Record<string, number>>
}

export interface Doorkeeper {
  readonly verify: Verify
  readonly requesters: Requesters
  readonly isBoard: (device: string) => boolean
  readonly root: string
}

/** Boards and the console come with a credential of ours, requesters with their API key. */
export function createDoorkeeper({ verify, requesters, isBoard, root }: Doorkeeper) {
  return async (username: string, password: Buffer): Promise<Principal | undefined> => {
    const secret = password.toString('utf8')
    const requester = await requesters.authenticate(secret)
    if (requester !== undefined) return requester.id === username ? requesters.principal(requester, root) : undefined
    const principal = await verify(username, secret)
    // A removed board's credential may still be valid: the table decides.
    return principal?.role === 'device' && !isBoard(principal.id) ? undefined : principal
  }
}

/** The nested counts by name, so that every number of the broker can be shown. */
function flat(stats: object, prefix = ''): Record<string, number> {
  const numbers: Record<string, number> = {}
  for (const [name, value] of Object.entries(stats)) {
    if (typeof value === 'number') numbers[prefix + name] = value
    else if (typeof value === 'object' && value !== null) Object.assign(numbers, flat(value, `${prefix}${name}_`))
  }
  return numbers
}

/** Room for topic and envelope around the largest frame. */
const TOPIC_BYTES = 16 * 1024

export async function openBroker(
  config: Config,
  authenticate: ReturnType<typeof createDoorkeeper>,
  tooLarge: (topic: string, bytes: number) => void,
  { log, now, root, stack }: Surroundings & { readonly root: string },
): Promise<Broker> {
  if (config.mqttUrl !== undefined) return { url: config.mqttUrl, wsUrl: undefined, stats: () => ({}) }
  const broker = await startBroker({
    host: config.host,
    port: config.mqtt,
    ...(config.ws !== undefined && { wsPort: config.ws }),
    authenticate,
    log: log.child({ part: 'broker' }),
    now,
    root,
    limits: { packetBytes: config.frameBytes + TOPIC_BYTES },
    onTooLarge: (_sender, topic, bytes) => tooLarge(topic, bytes),
  })
  stack.defer(() => broker.close())
  return { url: dialable(broker.url), wsUrl: broker.wsUrl && dialable(broker.wsUrl), stats: () => flat(broker.stats()) }
}

export const CONSOLE_NAME = 'console'
const CREDENTIAL_MS = 24 * 3_600_000
export const RENEW_EVERY_MS = 3_600_000

/** The console's own credential: renewed long before it ends, read at every connection. */
export async function createOwnCredential(issuer: Issuer, root: string) {
  const issue = async (): Promise<string> =>
    (await issuer.issue({ sub: CONSOLE_NAME, role: 'console', acl: consoleGrants(root) }, CREDENTIAL_MS)).jwt
  let jwt = await issue()
  return {
    current: (): string => jwt,
    async renew(): Promise<void> {
      jwt = await issue()
    },
  }
}
