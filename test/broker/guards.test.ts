import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import type { EmbeddedBroker } from '../../broker/embedded.ts'
import { collect, ended, openBroker, openClient, openSocket, packet, passwordOf, raw, until } from './rig.ts'

const MIB = 1024 * 1024
const FRAME = Buffer.alloc(72 * 1024, 0x61)

/** `once` would take the reset that comes before it for a failure. */
const closeOf = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()))

/** Writes `bytes` of zeros after `head` as fast as they are taken; resolves with how many were handed over. */
async function pour(socket: Socket, head: Buffer, bytes: number): Promise<number> {
  const closed = closeOf(socket)
  const chunk = Buffer.alloc(64 * 1024)
  socket.write(head)
  let poured = 0
  while (poured < bytes && !socket.destroyed) {
    poured += chunk.length
    if (!socket.write(chunk)) await Promise.race([once(socket, 'drain').catch(() => undefined), closed])
  }
  await closed
  return poured
}

/** A pair that talks through the broker while something else goes wrong; resolves with what arrived. */
async function talkers(broker: EmbeddedBroker) {
  const [requester, console_] = await Promise.all([
    openClient(broker.url, 'req-quiet'),
    openClient(broker.url, 'console'),
  ])
  const heard = collect(requester)
  await requester.subscribeAsync('bramble/1/r/req-quiet/out/#', { qos: 1 })
  let said = 0
  return {
    console: console_,
    heard,
    say: () => {
      said += 1
      return console_.publishAsync('bramble/1/r/req-quiet/out/m', String(said), { qos: 1 })
    },
    allArrived: async () => {
      const messages = await heard.until(said)
      expect(messages.map(({ text }) => Number(text))).toEqual(Array.from({ length: said }, (_, i) => i + 1))
    },
  }
}

/** A subscriber on a bare socket that reads nothing after its SUBACK. */
async function frozen(port: number, username: string, filter: string, qos: 0 | 1): Promise<Socket> {
  const socket = await openSocket(port)
  socket.write(Buffer.concat([raw.connect(username, undefined, 'frozen'), raw.subscribe(filter, qos)]))
  let seen = 0
  await new Promise<void>((resolve) => {
    // CONNACK is four bytes and SUBACK five.
    socket.on('data', (data) => {
      seen += data.length
      if (seen >= 9) resolve()
    })
  })
  socket.pause()
  return socket
}

describe('packets that are too large', () => {
  it('a CONNECT of 150 MB is cut off by its header, and memory stays where it was', async () => {
    const broker = await openBroker()
    const before = process.memoryUsage().rss
    const head = packet(0x10, Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60]), 150_000_000)
    const poured = await pour(await openSocket(broker.port), head, 150_000_000)
    // What the two kernels' socket buffers took before the reset arrived.
    expect(poured).toBeLessThan(20 * MIB)
    expect(process.memoryUsage().rss - before).toBeLessThan(60 * MIB)
    expect(broker.stats().refused.oversize).toBe(1)
  })

  it('the same over WebSocket', async () => {
    const broker = await openBroker({ wsPort: 0 })
    const socket = new WebSocket(broker.wsUrl!, 'mqtt')
    socket.on('error', () => undefined)
    await once(socket, 'open')
    const closed = once(socket, 'close')
    socket.send(Buffer.concat([packet(0x10, Buffer.alloc(10), 150_000_000), Buffer.alloc(900_000)]))
    await closed
    expect(broker.stats().refused.oversize).toBe(1)
  })

  it('a WebSocket message that never ends is cut off before it is whole', async () => {
    const broker = await openBroker({ wsPort: 0 })
    const socket = await openSocket(Number(new URL(broker.wsUrl!).port))
    const key = Buffer.alloc(16).toString('base64')
    socket.write(
      `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`,
    )
    await once(socket, 'data')
    // A masked binary frame that claims a million bytes and brings a few less.
    const head = Buffer.concat([Buffer.of(0x82, 0xff), Buffer.alloc(8), Buffer.alloc(4)])
    head.writeBigUInt64BE(1_000_000n, 2)
    await pour(socket, head, 900_000)
    expect(broker.stats().refused.oversize).toBe(1)
  })

  it('a publish of 10 MB ends that connection, and the others do not notice', async () => {
    const broker = await openBroker()
    const pair = await talkers(broker)
    const requester = await openClient(broker.url, 'req')
    const gone = ended(requester)
    await pair.say()
    requester.publish('bramble/1/r/req/in/m/t', Buffer.alloc(10 * MIB), { qos: 1 })
    await gone
    await pair.say()
    await pair.allArrived()
    expect(broker.stats().refused.oversize).toBe(1)
  })

  it('a publish of 10 MB is acknowledged, not delivered, and told of, where somebody wants to answer it', async () => {
    const told: string[] = []
    const broker = await openBroker({
      wsPort: 0,
      onTooLarge: ({ id }, topic, bytes) => told.push(`${id} ${topic} ${Math.floor(bytes / MIB)} MiB`),
    })
    const pair = await talkers(broker)
    const heard = collect(pair.console)
    await pair.console.subscribeAsync('bramble/1/r/req/in/#', { qos: 1 })
    for (const url of [broker.url, broker.wsUrl!]) {
      const requester = await openClient(url, 'req')
      for (const task of ['a', 'b']) {
        await requester.publishAsync(`bramble/1/r/req/in/m/${task}`, `before ${task}`, { qos: 1 })
        // ws takes no message over packetBytes, and mqtt.js sends a payload as one.
        if (url === broker.url)
          await requester.publishAsync(`bramble/1/r/req/in/m/${task}`, Buffer.alloc(10 * MIB), { qos: 1 })
        await requester.publishAsync(`bramble/1/r/req/in/m/${task}`, `after ${task}`, { qos: 0 })
      }
      await requester.publishAsync('bramble/1/r/req/in/m', 'end', { qos: 1 })
      expect(requester.connected).toBe(true)
    }
    const expected = ['before a', 'after a', 'before b', 'after b', 'end']
    expect((await heard.until(10)).map(({ text }) => text)).toEqual([...expected, ...expected])
    expect(told).toEqual(['req bramble/1/r/req/in/m/a 10 MiB', 'req bramble/1/r/req/in/m/b 10 MiB'])
    expect(broker.stats()).toMatchObject({ tooLarge: 2, published: 10, refused: { oversize: 0 } })
  })

  it('a publish too large to a foreign topic, of 100 MB, or of QoS 2 still ends the connection', async () => {
    const told: string[] = []
    const broker = await openBroker({ onTooLarge: (_, topic) => told.push(topic) })
    const foreign = await openClient(broker.url, 'req')
    foreign.publish('bramble/1/r/other/in/m', Buffer.alloc(2 * MIB), { qos: 1 })
    await ended(foreign)
    const sure = await openClient(broker.url, 'req')
    sure.publish('bramble/1/r/req/in/m', Buffer.alloc(2 * MIB), { qos: 2 })
    await ended(sure)
    const socket = await openSocket(broker.port)
    socket.write(raw.connect('req'))
    await once(socket, 'data')
    const poured = await pour(socket, packet(0x30, Buffer.alloc(0), 100 * MIB), 100 * MIB)
    expect(poured).toBeLessThan(50 * MIB)
    expect(told).toEqual([])
    expect(broker.stats().refused).toMatchObject({ 'denied-publish': 1, malformed: 1, oversize: 1 })
  })

  it('a payload of exactly 1 MiB passes, over TCP and over WebSocket', async () => {
    const broker = await openBroker({ wsPort: 0 })
    const console_ = await openClient(broker.url, 'console')
    const sizes: number[] = []
    console_.on('message', (_, payload) => sizes.push(payload.length))
    await console_.subscribeAsync('bramble/1/r/+/in/#', { qos: 1 })
    for (const url of [broker.url, broker.wsUrl!]) {
      const requester = await openClient(url, 'req')
      await requester.publishAsync('bramble/1/r/req/in/m', Buffer.alloc(MIB), { qos: 1 })
    }
    await until(() => sizes.length === 2)
    expect(sizes).toEqual([MIB, MIB])
  })

  it('while a credential is checked, nothing more is read than one chunk', async () => {
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<undefined>()
    const broker = await openBroker({
      authenticate: () => {
        asked.resolve()
        return answer.promise
      },
    })
    const socket = await openSocket(broker.port)
    const poured = pour(socket, raw.connect('req'), 100 * MIB)
    await asked.promise
    // The sender stalls on the kernel's buffers: the same number twice, a while apart.
    let before = -1
    while (before !== socket.bytesWritten) {
      before = socket.bytesWritten
      await wait(100)
    }
    expect(socket.bytesWritten).toBeLessThan(20 * MIB)
    answer.resolve(undefined)
    expect(await poured).toBeLessThan(20 * MIB)
    expect(broker.stats().refused['bad-credential']).toBe(1)
  })
})

describe('subscribers that stop reading', () => {
  it('QoS 0 frames to one are dropped and counted, and everybody else goes on', async () => {
    const broker = await openBroker()
    const pair = await talkers(broker)
    await frozen(broker.port, 'req-frozen', 'bramble/1/r/req-frozen/out/#', 0)
    for (let i = 0; i < 300; i += 1) {
      await pair.console.publishAsync('bramble/1/r/req-frozen/out/m', FRAME, { qos: 0 })
      if (i % 10 === 0) await pair.say()
    }
    await pair.allArrived()
    // 300 frames are 21 MB; what was not dropped lies in the kernel's buffers and in shedBytes of ours.
    expect(broker.stats().shedFrames).toBeGreaterThan(100)
    expect(broker.stats().refused['slow-subscriber']).toBe(0)
  })

  it('one with unsent QoS 1 messages is ended at the byte cap, and everybody else goes on', async () => {
    const broker = await openBroker({ limits: { backlogBytes: 2 * MIB } })
    const pair = await talkers(broker)
    await frozen(broker.port, 'req-frozen', 'bramble/1/r/req-frozen/out/#', 1)
    for (let i = 0; broker.stats().refused['slow-subscriber'] === 0; i += 1) {
      await pair.console.publishAsync('bramble/1/r/req-frozen/out/m', FRAME, { qos: 1 })
      if (i % 10 === 0) await pair.say()
    }
    await pair.say()
    await pair.allArrived()
    await until(() => broker.stats().connections === 2)
  })

  it('one that takes no byte for drainMs is ended even under the cap', async () => {
    const broker = await openBroker({ limits: { drainMs: 200 } })
    const pair = await talkers(broker)
    await frozen(broker.port, 'req-frozen', 'bramble/1/r/req-frozen/out/#', 0)
    // Enough to fill the kernel's buffers; then it is only time.
    for (let i = 0; i < 200; i += 1) await pair.console.publishAsync('bramble/1/r/req-frozen/out/m', FRAME, { qos: 0 })
    await until(() => broker.stats().refused['slow-subscriber'] === 1)
    await pair.say()
    await pair.allArrived()
  })

  it('a hundred frozen at once do not freeze the rest: no delivery waits for them', async () => {
    const broker = await openBroker({ limits: { connectionsPerUser: 200 } })
    const pair = await talkers(broker)
    for (let i = 0; i < 100; i += 1) {
      const socket = await openSocket(broker.port)
      socket.write(
        Buffer.concat([raw.connect('req-x', undefined, `c${i}`), raw.subscribe('bramble/1/r/req-x/out/#', 1)]),
      )
      await once(socket, 'data')
      socket.pause()
    }
    for (let i = 0; i < 60; i += 1) {
      await pair.console.publishAsync('bramble/1/r/req-x/out/m', FRAME, { qos: 1 })
      await pair.say()
    }
    await pair.allArrived()
    expect(broker.stats().refused['slow-subscriber']).toBe(0)
  })

  it('the console is waited for: who publishes to it is held back, nothing is lost, nobody else waits', async () => {
    const broker = await openBroker({ limits: { waitBytes: MIB } })
    const pair = await talkers(broker)
    const behind = await frozen(broker.port, 'console', 'bramble/1/d/+/out/#', 1)
    const device = await openClient(broker.url, 'dev-a')
    let acked = 0
    for (let i = 0; i < 400; i += 1)
      device.publish('bramble/1/d/dev-a/out/m/t', FRAME, { qos: 1 }, (error) => {
        acked += error ? 0 : 1
      })
    await until(() => broker.stats().heldPublishers > 0)
    // What aedes had read already is still forwarded; then it stands still.
    await pair.say()
    const heldAt = broker.stats().published
    expect(heldAt).toBeLessThan(400)
    for (let i = 0; i < 20; i += 1) await pair.say()
    await pair.allArrived()
    expect(broker.stats().published).toBe(heldAt + 20)
    let arrived = 0
    behind.on('data', (data) => {
      arrived += data.length
    })
    behind.resume()
    await until(() => acked === 400 && arrived > 400 * FRAME.length)
    expect(broker.stats()).toMatchObject({ shedFrames: 0, refused: { 'slow-subscriber': 0 } })
  })
})

describe('floods of connections', () => {
  it('are held to the rate, and a client that comes later gets in', async () => {
    let now = 0
    const broker = await openBroker({
      now: () => now,
      limits: { connectsPerSPerAddress: 1, connectBurstPerAddress: 20 },
    })
    const sockets = await Promise.all(Array.from({ length: 200 }, () => openSocket(broker.port)))
    await until(() => sockets.filter(({ destroyed }) => destroyed).length === 180)
    expect(broker.stats()).toMatchObject({ accepted: 20, refused: { 'connect-rate': 180 } })
    now += 1_000
    expect((await openClient(broker.url, 'dev-a')).connected).toBe(true)
  })

  it('that never say CONNECT are ended after connectMs and leave room for others', async () => {
    const broker = await openBroker({ limits: { connectMs: 150, pending: 10 } })
    const sockets = await Promise.all(Array.from({ length: 15 }, () => openSocket(broker.port)))
    await until(() => sockets.every(({ destroyed }) => destroyed))
    await until(() => broker.stats().connections === 0)
    expect(broker.stats().refused['pending-full']).toBe(5)
    expect((await openClient(broker.url, 'dev-a')).connected).toBe(true)
  })

  it('stop at the cap, and those inside stay', async () => {
    const broker = await openBroker({ limits: { connections: 3 } })
    const inside = await Promise.all(['dev-a', 'dev-b', 'dev-c'].map((name) => openClient(broker.url, name)))
    await expect(openClient(broker.url, 'dev-d')).rejects.toThrow()
    expect(inside.every(({ connected }) => connected)).toBe(true)
    expect(broker.stats().refused['connections-full']).toBeGreaterThan(0)
  })

  it('that speak another protocol are malformed', async () => {
    const broker = await openBroker()
    const socket = await openSocket(broker.port)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await closeOf(socket)
    expect(broker.stats().refused.malformed).toBe(1)
  })
})

describe('WebSocket', () => {
  it('carries the same clients under the same rules', async () => {
    const broker = await openBroker({ wsPort: 0 })
    const browser = await openClient(broker.wsUrl!, 'req')
    const console_ = await openClient(broker.url, 'console')
    const heard = collect(browser)
    await browser.subscribeAsync('bramble/1/r/req/out/#', { qos: 1 })
    await expect(browser.subscribeAsync('bramble/1/#')).rejects.toMatchObject({ packet: { granted: [128] } })
    await console_.publishAsync('bramble/1/r/req/out/m/t', 'answer', { qos: 1 })
    expect((await heard.until(1))[0]!.text).toBe('answer')
    const gone = ended(browser)
    browser.publish('bramble/1/d/dev-a/in/m', 'x')
    await gone
    await expect(openClient(broker.wsUrl!, 'req', { password: `not ${passwordOf('req')}` })).rejects.toMatchObject({
      code: 4,
    })
    expect(broker.stats().refused).toMatchObject({ 'denied-publish': 1, 'bad-credential': 1 })
  })

  it('is refused without the subprotocol mqtt, and plain HTTP is told what this port is', async () => {
    const broker = await openBroker({ wsPort: 0 })
    const socket = new WebSocket(broker.wsUrl!)
    const [error] = await once(socket, 'error')
    expect(String(error)).toContain('400')
    const answer = await fetch(broker.wsUrl!.replace('ws:', 'http:'))
    expect(answer.status).toBe(426)
    expect(await answer.text()).toContain('MQTT over WebSocket')
  })

  it('a frozen browser is shed like any other subscriber', async () => {
    const broker = await openBroker({ wsPort: 0, limits: { drainMs: 300 } })
    const pair = await talkers(broker)
    const browser = await openClient(broker.wsUrl!, 'req-frozen')
    await browser.subscribeAsync('bramble/1/r/req-frozen/out/#')
    browser.stream.pause()
    for (let i = 0; i < 300; i += 1) await pair.console.publishAsync('bramble/1/r/req-frozen/out/m', FRAME, { qos: 0 })
    await until(() => broker.stats().refused['slow-subscriber'] === 1)
    expect(broker.stats().shedFrames).toBeGreaterThan(0)
    await pair.say()
    await pair.allArrived()
  })
})
