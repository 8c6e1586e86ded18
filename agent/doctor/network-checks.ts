// The way to the console and to the broker, and the clock beside the console's.
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Logger } from 'pino'
import { connectLink } from '../../broker/link.ts'
import { Desired, PACKAGE_PATHS } from '../../broker/protocol/packages.ts'
import type { StoredCredential } from '../membership/credential.ts'
import { askHttp, type HttpAnswer, openHttp, reasonOf } from '../membership/http.ts'
import { CLOCK_WRONG_MS } from '../presence/flags.ts'
import { type Check, fail, ok, skip, spanOf, warn } from './check.ts'

const SILENCE_MS = 8_000

export interface Clocks {
  readonly now: () => number
  readonly elapsed: () => number
}

interface Asked {
  readonly checks: readonly Check[]
  /** This board's clock minus the console's, ms. */
  readonly skewMs?: number
}

/** Is it there, does it know this board, and what time is it there. */
export async function checkConsole({ console, credential }: StoredCredential, clocks: Clocks): Promise<Asked> {
  const name = 'console'
  const remedy = 'is the console running, and does this board have network? (ping, curl)'
  try {
    const health = await openHttp(new URL('/healthz', console), { silenceMs: SILENCE_MS })
    health.destroy()
    const dated = Date.parse(health.headers.date ?? '')
    // The header has whole seconds, cut off.
    const rough = Number.isNaN(dated) ? undefined : clocks.now() - dated - 500
    if (health.statusCode !== 200)
      return { checks: [fail(name, `${console} answered with status ${health.statusCode}`, 'look at its log')] }
    const sent = clocks.elapsed()
    const bearer = { authorization: `Bearer ${credential}` }
    const answer = await askHttp(new URL(PACKAGE_PATHS.desired, console), { headers: bearer, silenceMs: SILENCE_MS })
    return knownBy(console, answer, Math.round(clocks.elapsed() - sent), clocks.now(), rough)
  } catch (error) {
    return { checks: [fail(name, `${console} cannot be reached (${reasonOf(error)})`, remedy)] }
  }
}

function knownBy(console: string, { status, json }: HttpAnswer, tookMs: number, now: number, rough?: number): Asked {
  if (status === 401 || status === 403)
    return {
      checks: [
        fail('console', `${console} does not accept this board's credential`, 'enrol again: bramble-agent enroll …'),
      ],
      ...(rough !== undefined && { skewMs: rough }),
    }
  const desired = Desired.safeParse(json)
  const skewMs = desired.success ? now - tookMs / 2 - desired.data.now : rough
  const wants = desired.success ? wishOf(desired.data) : 'it has no say in models'
  return {
    checks: [ok('console', `${console} answers in ${tookMs} ms and knows this board; ${wants}`)],
    ...(skewMs !== undefined && { skewMs }),
  }
}

const wishOf = ({ models }: Desired): string =>
  models === undefined
    ? 'it leaves the models to this board'
    : `it wants ${models.map(({ id, version }) => `${id}@${version}`).join(', ') || 'no model'} here`

export function checkClock(skewMs: number | undefined): Check {
  const name = 'clock'
  if (skewMs === undefined) return skip(name, 'no console answered to compare it with')
  const side = skewMs > 0 ? 'ahead of' : 'behind'
  if (Math.abs(skewMs) <= CLOCK_WRONG_MS)
    return ok(name, `within ${spanOf(Math.max(1_000, Math.abs(skewMs)))} of the console's`)
  return fail(
    name,
    `${spanOf(skewMs)} ${side} the console's: the times in its answers and receipts are wrong`,
    'let this board reach a time server: timedatectl set-ntp true; timedatectl status',
  )
}

const PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'wss:': 443 }

/** Milliseconds until the port answered. Rejects with the fault of the network. */
async function reach(url: URL, elapsed: () => number): Promise<number> {
  const from = elapsed()
  const socket = connect({ host: url.hostname, port: Number(url.port) || (PORTS[url.protocol] ?? 1883) })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(SILENCE_MS) })
    return Math.max(1, Math.round(elapsed() - from))
  } finally {
    socket.destroy()
  }
}

export interface BrokerAccess {
  readonly url: string
  readonly device: string
  readonly login: { readonly username?: string; readonly password?: string | (() => string) }
}

/**
 * `running`: an agent works on this folder. A second connection under its name would throw it out, so then only the port is
 * tried; the agent's own log says how its connection is.
 */
export async function checkBroker(
  { url, device, login }: BrokerAccess,
  running: boolean,
  { elapsed }: Clocks,
  log: Logger,
): Promise<Check> {
  const name = 'broker'
  let tookMs: number
  try {
    tookMs = await reach(new URL(url), elapsed)
  } catch (error) {
    const remedy = 'is the broker running, and is its port open to this board? (nc -vz HOST PORT)'
    return fail(name, `${url} cannot be reached (${reasonOf(error)})`, remedy)
  }
  if (running)
    return ok(name, `${url} answers in ${tookMs} ms; the running agent has the connection, so none was tried`)
  const refusal = await greet(url, device, login, log)
  if (refusal === undefined) return ok(name, `${url} answers in ${tookMs} ms and lets ${device} in`)
  return fail(name, `${url} does not let ${device} in: ${refusal}`, 'enrol again, or look at the log of the broker')
}

/** Connects as the board and leaves at once, without a will and without a word. */
async function greet(
  url: string,
  device: string,
  login: BrokerAccess['login'],
  log: Logger,
): Promise<string | undefined> {
  const link = connectLink({ url, clientId: device, ...login, subscriptions: [], log })
  const answered = Promise.withResolvers<string | undefined>()
  const late = setTimeout(() => answered.resolve(`no answer to CONNECT within ${SILENCE_MS / 1000} s`), SILENCE_MS)
  link.onConnect(() => answered.resolve(undefined))
  link.onRefused((reason) => answered.resolve(reason.message))
  const outcome = await answered.promise
  clearTimeout(late)
  await link.close()
  return outcome
}

export function checkLan(network: readonly { name: string; up: boolean; signalDbm?: number | undefined }[]): Check[] {
  const name = 'network'
  const up = network.filter((one) => one.up)
  if (up.length === 0) return [fail(name, 'no interface is up', 'plug in a cable, or join a Wi-Fi network (nmcli)')]
  const weak = up.find(({ signalDbm }) => signalDbm !== undefined && signalDbm < WEAK_DBM)
  const words = up.map((one) => (one.signalDbm === undefined ? one.name : `${one.name} (${one.signalDbm} dBm)`))
  if (weak)
    return [
      warn(
        name,
        `${weak.name} has a weak signal: ${weak.signalDbm} dBm`,
        'move the board or the access point, or use a cable',
      ),
    ]
  return [ok(name, `${words.join(', ')} up`)]
}

/** Below this Wi-Fi loses packets by the second. */
const WEAK_DBM = -80
