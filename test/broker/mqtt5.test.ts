import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { connectAsync, type IPublishPacket } from 'mqtt'
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { createDialect } from '../../broker/link/dialect.ts'
import type { MessageMeta } from '../../broker/link/terms.ts'
import type { Link } from '../../broker/link.ts'
import { missing, run, startMosquitto } from './programs.ts'
import { linkUp, openBroker, openLink, until } from './rig.ts'

const here = (context: TestContext): void => context.skip(missing.mosquitto !== undefined, missing.mosquitto ?? '')

const code = (publishing: Promise<void>): Promise<unknown> =>
  publishing.then(
    () => 'resolved',
    (error: { code?: unknown }) => error.code,
  )

const untilClosed = (_: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve()))

const portOf = (url: string): string => new URL(url).port

async function openClient5(url: string) {
  const client = await connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0 }, false)
  client.on('error', () => undefined)
  onTestFinished(() => void client.end(true))
  return client
}

interface Heard {
  readonly topic: string
  readonly text: string
  readonly meta: MessageMeta
}

function listen(link: Link): Heard[] {
  const heard: Heard[] = []
  link.onMessage((topic, payload, _, meta) => void heard.push({ topic, text: payload.toString(), meta }))
  return heard
}

/** The version in each CONNECT that came, and a server that answers them as told. */
async function openServer(answer: (version: number, socket: Socket, count: number) => void) {
  const versions: number[] = []
  const server = createServer((socket) => {
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      if (data[0]! >> 4 !== 1) return
      // Fixed header of two bytes (these CONNECTs are short), "MQTT" with its length, then the version.
      versions.push(data[8]!)
      answer(data[8]!, socket, versions.length)
    })
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return { url: `mqtt://127.0.0.1:${(server.address() as { port: number }).port}`, versions }
}

const ACCEPTED = Buffer.of(0x20, 2, 0, 0)
const VERSION_REFUSED = Buffer.of(0x20, 2, 0, 1)

describe('a link that may speak MQTT 5', () => {
  it('speaks it with mosquitto and passes on what mosquitto_pub says beside the payload', async (context) => {
    here(context)
    context.skip(missing.clients !== undefined, missing.clients ?? '')
    const { url } = await startMosquitto()
    const link = openLink(url, 'dev-a', { version: 'auto', subscriptions: ['in/#'], epoch: () => 1_000_000 })
    const heard = listen(link)
    await linkUp(link)
    expect(link.protocol()).toBe(5)
    const properties = [
      ['response-topic', 'answers/here'],
      ['correlation-data', 'no. 7'],
      ['message-expiry-interval', '90'],
      ['content-type', 'image/jpeg'],
      ['user-property', 'source', 'gate'],
    ].flatMap((words) => ['-D', 'publish', ...words])
    const sent = await run('mosquitto_pub', [
      '-V',
      '5',
      '-h',
      '127.0.0.1',
      '-p',
      portOf(url),
      '-q',
      '1',
      '-t',
      'in/m/t',
      '-m',
      'a frame',
      ...properties,
    ])
    expect(sent).toMatchObject({ code: 0, stderr: '' })
    await until(() => heard.length === 1)
    const [{ topic, text, meta }] = heard as [Heard]
    expect({ topic, text }).toEqual({ topic: 'in/m/t', text: 'a frame' })
    const { correlationData, ...words } = meta
    expect(Buffer.from(correlationData!).toString()).toBe('no. 7')
    expect(words).toEqual({
      responseTopic: 'answers/here',
      contentType: 'image/jpeg',
      expiresAt: 1_090_000,
      source: 'gate',
    })
  })

  it('says to an MQTT 5 client what it is told to say beside the payload, and leaves it out on 3.1.1', async (context) => {
    here(context)
    const { url } = await startMosquitto()
    const client = await openClient5(url)
    const packets: IPublishPacket[] = []
    client.on('message', (_topic, _payload, packet) => packets.push(packet))
    await client.subscribeAsync('out/#', { qos: 1 })
    const say = {
      qos: 1,
      responseTopic: 'in/again',
      correlationData: new Uint8Array([1, 2, 3]),
      contentType: 'application/json',
      expiryS: 60,
    } as const
    for (const version of [5, 4] as const) {
      const link = openLink(url, `dev-${version}`, { version })
      await linkUp(link)
      expect(link.protocol()).toBe(version)
      await link.publish(`out/${version}`, '{}', say)
    }
    await until(() => packets.length === 2)
    expect(packets[0]!.properties).toMatchObject({
      responseTopic: 'in/again',
      correlationData: Buffer.of(1, 2, 3),
      contentType: 'application/json',
      messageExpiryInterval: 60,
    })
    expect(packets[1]!.properties).toBeUndefined()
  })

  it('a response topic that nobody can publish to is not passed on', async () => {
    const { metaOf } = await import('../../broker/link/properties.ts')
    const now = () => 0
    for (const responseTopic of ['', 'a/#', '+/b', 'x'.repeat(257)]) expect(metaOf({ responseTopic }, now)).toEqual({})
    expect(metaOf({ userProperties: { source: ['first', 'second'] } }, now)).toEqual({ source: 'first' })
  })

  it('keeps to the number of unacknowledged publishes that the broker allows', async (context) => {
    here(context)
    const { url } = await startMosquitto(['allow_anonymous true', 'max_inflight_messages 2'])
    const link = openLink(url, 'dev-a', { version: 5, subscriptions: ['to/me'] })
    const heard = listen(link)
    await linkUp(link)
    const numbers = Array.from({ length: 300 }, (_, i) => String(i))
    const ends: string[] = []
    link.onDisconnect(({ message }) => ends.push(message))
    await Promise.all(numbers.map((number) => link.publish('to/me', number, { qos: 1 })))
    await until(() => heard.length === numbers.length)
    expect({ ends, order: heard.map(({ text }) => text) }).toEqual({ ends: [], order: numbers })
  })

  it('has no more publishes in flight than that', async () => {
    let outstanding = 0
    let most = 0
    const { url } = await openServer((_, socket) => {
      socket.write(Buffer.of(0x20, 6, 0, 0, 3, 0x21, 0, 2))
      socket.on('data', (data) => {
        // PUBLISH, QoS 1: topic "t", its packet id, no properties, one byte.
        for (let at = 0; at < data.length; at += 2 + data[at + 1]!) {
          if (data[at]! >> 4 !== 3) continue
          outstanding += 1
          most = Math.max(most, outstanding)
          const [high, low] = [data[at + 5]!, data[at + 6]!]
          setTimeout(() => {
            outstanding -= 1
            socket.write(Buffer.of(0x40, 2, high, low))
          }, 5)
        }
      })
    })
    const link = openLink(url, 'dev-a', { version: 5 })
    await linkUp(link)
    await Promise.all(Array.from({ length: 20 }, () => link.publish('t', 'x', { qos: 1 })))
    expect({ most, outstanding }).toEqual({ most: 2, outstanding: 0 })
  })

  it('gives up what waits for a place when the connection ends', async () => {
    // CONNACK of MQTT 5 with receive maximum 1; SUBACK is never asked for, PUBACK never sent.
    const { url } = await openServer((_, socket) => socket.write(Buffer.of(0x20, 6, 0, 0, 3, 0x21, 0, 1)))
    const link = openLink(url, 'dev-a', { version: 5, limits: { pubackMs: 100 } })
    await linkUp(link)
    const flights = [1, 2, 3].map((n) => code(link.publish('t', String(n), { qos: 1 })))
    expect(await Promise.all(flights)).toEqual(['no-puback', 'no-puback', 'no-puback'])
  })

  it('does not send what the broker would end the connection for, and says so', async (context) => {
    here(context)
    const { url } = await startMosquitto(['allow_anonymous true', 'max_packet_size 2000'])
    const link = openLink(url, 'dev-a', { version: 5 })
    await linkUp(link)
    expect(await code(link.publish('out/m', Buffer.alloc(2_000), { qos: 1 }))).toBe('too-large')
    expect(await code(link.publish('out/m', Buffer.alloc(1_900), { qos: 1 }))).toBe('resolved')
    expect(link.stats().connects).toBe(1)
  })

  it('hears that a publish or a subscription was refused, and stays connected', async (context) => {
    here(context)
    const { writeFile, mkdtemp, rm } = await import('node:fs/promises')
    const folder = await mkdtemp('/tmp/bramble-acl-')
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await writeFile(`${folder}/acl`, 'user dev-a\ntopic readwrite mine\n', { mode: 0o644 })
    // mosquitto may give up root for a user of its own.
    await (await import('node:fs/promises')).chmod(folder, 0o755)
    const { url } = await startMosquitto(['allow_anonymous true', `acl_file ${folder}/acl`])
    const link = openLink(url, 'dev-a', { version: 5, subscriptions: ['mine'] })
    await linkUp(link)
    expect(await code(link.publish('mine', 'x', { qos: 1 }))).toBe('resolved')
    expect(await code(link.publish('theirs', 'x', { qos: 1 }))).toBe('publish-refused')
    expect(link.connected).toBe(true)
  })

  it('tells of a filter that was refused with a reason of MQTT 5', async () => {
    const server = await openServer((_, socket) => {
      socket.write(Buffer.of(0x20, 3, 0, 0, 0))
      // SUBACK for the first packet id of a connection: one filter granted, one "not authorized" (0x87).
      socket.on('data', (data) => {
        if (data[0]! >> 4 === 8) socket.write(Buffer.of(0x90, 5, data[2]!, data[3]!, 0, 1, 0x87))
      })
    })
    const link = openLink(server.url, 'dev-a', { version: 5, subscriptions: ['a', 'b'] })
    const refused: string[] = []
    link.onRefused(({ message }) => refused.push(message))
    await linkUp(link)
    expect(refused).toEqual(['the broker refused the subscription to b'])
  })

  it.each([
    ['who took its place', Buffer.of(0xe0, 2, 0x8e, 0), 'another client connected as dev-a'],
    ['the reason', Buffer.of(0xe0, 8, 0x8b, 6, 0x1f, 0, 3, 0x62, 0x79, 0x65), 'reason 139: bye'],
  ])('says %s when the broker does with its DISCONNECT', async (_, goodbye, words) => {
    // (mosquitto 2.0.11 ends a taken-over connection without a word.)
    const server = await openServer((_version, socket) => {
      socket.write(Buffer.of(0x20, 3, 0, 0, 0))
      socket.on('data', (data) => data[0]! >> 4 === 3 && socket.end(goodbye))
    })
    const link = openLink(server.url, 'dev-a', { version: 5, sleep: untilClosed })
    await linkUp(link)
    const gone = new Promise<Error>((resolve) => link.onDisconnect(resolve))
    await link.publish('a', 'b', { qos: 0 })
    expect((await gone).message).toContain(words)
  })

  it('a connection that is lost after the CONNACK says nothing against the version', async () => {
    const enough = Promise.withResolvers<void>()
    const server = await openServer((_, socket, count) => {
      socket.write(Buffer.of(0x20, 3, 0, 0, 0))
      socket.on('data', (data) => data[0]! >> 4 === 8 && socket.end())
      if (count === 6) enough.resolve()
    })
    openLink(server.url, 'dev-a', { version: 'auto', subscriptions: ['a'], sleep: () => Promise.resolve() })
    await enough.promise
    expect(server.versions.slice(0, 6)).toEqual([5, 5, 5, 5, 5, 5])
  })

  it('a wrong password is a refusal and no reason to try another version', async (context) => {
    here(context)
    const { url } = await startMosquitto(['allow_anonymous false'])
    const link = openLink(url, 'dev-a', { version: 'auto', sleep: untilClosed })
    expect(await new Promise<Error>((resolve) => link.onRefused(resolve))).toMatchObject({
      code: 'refused',
      message: expect.stringContaining('Not authorized'),
    })
  })
})

describe('a link to a broker that does not speak MQTT 5', () => {
  it('falls back at once on the embedded broker, without waiting and without a word to anybody', async () => {
    const broker = await openBroker()
    const delays: number[] = []
    const link = openLink(broker.url, 'req', { version: 'auto', sleep: async (ms) => void delays.push(ms) })
    const refusals: string[] = []
    link.onRefused(({ message }) => refusals.push(message))
    await linkUp(link)
    expect({ protocol: link.protocol(), delays, refusals }).toEqual({ protocol: 4, delays: [], refusals: [] })
    const back = new Promise<void>((resolve) => link.onConnect(resolve))
    broker.kick('req')
    await back
    expect(delays.length).toBe(1)
  })

  it.each([
    ['says so', (socket: Socket) => socket.end(VERSION_REFUSED)],
    ['says it in the words of MQTT 5', (socket: Socket) => socket.end(Buffer.of(0x20, 3, 0, 0x84, 0))],
    ['ends the connection', (socket: Socket) => socket.end()],
    ['never answers', () => undefined],
  ])('falls back when it %s', async (_, refuse) => {
    const server = await openServer((version, socket) => (version === 5 ? refuse(socket) : socket.write(ACCEPTED)))
    const delays: number[] = []
    const sleep = async (ms: number) => void delays.push(ms)
    const link = openLink(server.url, 'req', { version: 'auto', limits: { trialMs: 100 }, sleep })
    await linkUp(link)
    expect({ versions: server.versions, protocol: link.protocol(), delays }).toEqual({
      versions: [5, 4],
      protocol: 4,
      delays: [],
    })
  })

  it('remembers it, and asks again after hours', async () => {
    let now = 0
    const server = await openServer((version, socket) => {
      if (version === 5) return socket.end(VERSION_REFUSED)
      socket.write(ACCEPTED)
      return socket.end()
    })
    const again = Promise.withResolvers<void>()
    const link = openLink(server.url, 'req', {
      version: 'auto',
      now: () => now,
      sleep: async () => {
        now += 2 * 3_600_000
        if (server.versions.length > 6) await again.promise
      },
    })
    await until(() => server.versions.length > 6)
    expect(server.versions).toEqual([5, 4, 4, 4, 5, 4, 4])
    const closed = link.close()
    again.resolve()
    await closed
  })

  it('says so, again and again, where only MQTT 5 is wanted', async () => {
    const server = await openServer((_, socket) => void socket.end(VERSION_REFUSED))
    const link = openLink(server.url, 'req', { version: 5, sleep: untilClosed })
    const refused = await new Promise<Error>((resolve) => link.onRefused(resolve))
    expect(refused).toMatchObject({ code: 'version-refused' })
    expect(server.versions).toEqual([5])
  })
})

describe('the choice of a version', () => {
  it('stays with 5 through an outage, and doubts it only after three silent attempts', () => {
    const dialect = createDialect('auto', () => 0)
    expect(dialect.next()).toBe(5)
    dialect.understood()
    const tried = ['silent', 'silent', 'silent'].map((how) => {
      const again = dialect.failed(how as 'silent')
      return [again, dialect.next()]
    })
    expect(tried).toEqual([
      [false, 5],
      [false, 5],
      [true, 4],
    ])
  })

  it('takes turns, with a pause after each pair, while nothing is known', () => {
    const dialect = createDialect('auto', () => 0)
    const seen = Array.from({ length: 4 }, () => {
      const version = dialect.next()
      return [version, dialect.failed('disconnected')]
    })
    expect(seen).toEqual([
      [5, true],
      [4, false],
      [5, true],
      [4, false],
    ])
  })

  it('is not moved by an unreachable network or a refused credential', () => {
    const dialect = createDialect('auto', () => 0)
    for (const how of ['unreachable', 'refused', 'closed'] as const) expect(dialect.failed(how)).toBe(false)
    expect(dialect.next()).toBe(5)
  })
})
