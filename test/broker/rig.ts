// What the broker's tests share: an embedded broker with known accounts, clients of mqtt.js, and bare sockets.
import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { type BrokerOptions, type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import type { LinkOptions } from '../../broker/link/terms.ts'
import { connectLink, type Link } from '../../broker/link.ts'
import { consoleGrants, deviceGrants, type Principal, requesterGrants } from '../../broker/protocol/credentials.ts'

export const silent = pino({ level: 'silent' })

const rolesOf: readonly (readonly [RegExp, (id: string) => Principal])[] = [
  [/^console$/, (id) => ({ role: 'console', id, grants: consoleGrants() })],
  [/^dev-/, (id) => ({ role: 'device', id, grants: deviceGrants(id) })],
  [/^req/, (id) => ({ role: 'requester', id, grants: requesterGrants(id) })],
  [/^owner$/, (id) => ({ role: 'requester', id, grants: requesterGrants(id, ['dev-a']) })],
]

export const principalOf = (username: string): Principal | undefined =>
  rolesOf.find(([pattern]) => pattern.test(username))?.[1](username)

export const passwordOf = (username: string): string => `password of ${username}`

/** Knows everybody whose name says a role and whose password fits. */
export const authenticate: BrokerOptions['authenticate'] = async (username, password) =>
  password.toString() === passwordOf(username) ? principalOf(username) : undefined

export async function openBroker(options: Partial<BrokerOptions> = {}): Promise<EmbeddedBroker> {
  const broker = await startBroker({ host: '127.0.0.1', port: 0, log: silent, now: Date.now, authenticate, ...options })
  onTestFinished(() => broker.close())
  return broker
}

/** A client of mqtt.js with nothing of ours around it; rejects when it is refused. */
export async function openClient(url: string, username: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(
    url,
    { username, password: passwordOf(username), clientId: username, reconnectPeriod: 0, ...options },
    false,
  )
  client.on('error', () => undefined)
  onTestFinished(() => void client.end(true))
  return client
}

export function openLink(url: string, username: string, options: Partial<LinkOptions> = {}): Link {
  const link = connectLink({
    url,
    clientId: username,
    username,
    password: passwordOf(username),
    subscriptions: [],
    log: silent,
    random: () => 0,
    ...options,
  })
  onTestFinished(() => link.close())
  return link
}

export const linkUp = (link: Link): Promise<void> =>
  link.connected ? Promise.resolve() : new Promise((resolve) => link.onConnect(resolve))

/** Resolves at the end of the client's connection. */
export const ended = (client: MqttClient): Promise<void> => new Promise((resolve) => client.once('close', resolve))

/** Collects messages; `until(n)` resolves with the first n of them. */
export function collect(client: MqttClient) {
  const messages: { topic: string; text: string; retain: boolean }[] = []
  const waiting: { count: number; resolve: () => void }[] = []
  client.on('message', (topic, payload, { retain }) => {
    messages.push({ topic, text: payload.toString(), retain })
    for (const { count, resolve } of waiting) if (messages.length >= count) resolve()
  })
  return {
    messages,
    async until(count: number) {
      if (messages.length < count) await new Promise<void>((resolve) => waiting.push({ count, resolve }))
      return messages.slice(0, count)
    },
  }
}

const field = (text: string): Buffer => {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes])
}

/** An MQTT packet; `claimed` writes a remaining length other than the true one. */
export function packet(first: number, body: Buffer, claimed = body.length): Buffer {
  const length: number[] = []
  for (let rest = claimed; ; rest = Math.floor(rest / 128)) {
    length.push((rest % 128) | (rest >= 128 ? 128 : 0))
    if (rest < 128) break
  }
  return Buffer.concat([Buffer.of(first, ...length), body])
}

export const raw = {
  connect: (username: string, password = passwordOf(username), clientId = username): Buffer =>
    packet(
      0x10,
      Buffer.concat([field('MQTT'), Buffer.of(4, 0xc2, 0, 0), field(clientId), field(username), field(password)]),
    ),
  subscribe: (filter: string, qos = 0): Buffer =>
    packet(0x82, Buffer.concat([Buffer.of(0, 1), field(filter), Buffer.of(qos)])),
  publish: (topic: string, payload: Buffer): Buffer => packet(0x30, Buffer.concat([field(topic), payload])),
}

/** A bare TCP connection. Errors are kept quiet: being cut off is what these tests are about. */
export async function openSocket(port: number): Promise<Socket> {
  const socket = connectSocket(port, '127.0.0.1')
  socket.on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  // Read, or the end of the connection would never be seen; a test that stops reading pauses it.
  socket.resume()
  return socket
}

/** Resolves once `condition` holds: looks at every turn of the event loop, and the test's own timeout is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
