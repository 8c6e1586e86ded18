import { once } from 'node:events'
import { createServer, type Server, Socket } from 'node:net'
import { pino } from 'pino'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { connectLink } from '../../broker/link.ts'
import { collect, linkUp, openBroker, openClient, openLink, passwordOf, principalOf, until } from './rig.ts'

const code = (publishing: Promise<void>): Promise<unknown> =>
  publishing.then(
    () => 'resolved',
    (error: { code?: unknown }) => error.code,
  )

/** A server that accepts a client and its subscriptions and then answers as told. */
async function openDummy(onPublish: (socket: Socket) => void): Promise<{ url: string; connects: () => number }> {
  let connects = 0
  const server: Server = createServer((socket) => {
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      const type = data[0]! >> 4
      if (type === 1) {
        connects += 1
        socket.write(Buffer.of(0x20, 2, 0, 0))
      }
      if (type === 8) socket.write(Buffer.of(0x90, 3, data[2]!, data[3]!, 1))
      if (type === 3) onPublish(socket)
    })
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return { url: `mqtt://127.0.0.1:${(server.address() as { port: number }).port}`, connects: () => connects }
}

describe('a link', () => {
  it('publishes and hears, QoS 0 and 1, and says when it is up', async () => {
    const { url } = await openBroker()
    const device = openLink(url, 'dev-a', { subscriptions: ['bramble/1/d/dev-a/in/#'] })
    const heard: string[] = []
    device.onMessage((topic, payload) => void heard.push(`${topic} ${payload.toString()}`))
    expect(device.connected).toBe(false)
    const console_ = openLink(url, 'console')
    await Promise.all([linkUp(device), linkUp(console_)])
    expect(device.connected).toBe(true)
    await console_.publish('bramble/1/d/dev-a/in/m', 'text', { qos: 0 })
    await console_.publish('bramble/1/d/dev-a/in/m', new Uint8Array(Buffer.from('xbytesx')).subarray(1, 6), { qos: 1 })
    await console_.publish('bramble/1/d/dev-a/in/m', '', { qos: 1 })
    await until(() => heard.length === 3)
    expect(heard).toEqual(['text', 'bytes', ''].map((text) => `bramble/1/d/dev-a/in/m ${text}`))
  })

  it('turns Nagle off on every connection: with it a QoS 1 round trip takes 20 ms', async () => {
    const broker = await openBroker()
    const noDelay = vi.spyOn(Socket.prototype, 'setNoDelay')
    onTestFinished(() => noDelay.mockRestore())
    const link = openLink(broker.url, 'req')
    await linkUp(link)
    const ofClients = () =>
      noDelay.mock.contexts.filter((socket) => (socket as Socket).remotePort === broker.port).length
    expect(ofClients()).toBe(1)
    const back = new Promise<void>((resolve) => link.onConnect(resolve))
    broker.kick('req')
    await back
    expect(ofClients()).toBeGreaterThanOrEqual(1)
    expect(noDelay.mock.calls.filter(([on]) => on === true).length).toBeGreaterThanOrEqual(2)
  })

  it('works over WebSocket', async () => {
    const { wsUrl } = await openBroker({ wsPort: 0 })
    const link = openLink(wsUrl!, 'req', { subscriptions: ['bramble/1/r/req/out/#'] })
    await linkUp(link)
    await link.publish('bramble/1/r/req/in/m', Buffer.alloc(100_000), { qos: 1 })
    expect(link.connected).toBe(true)
  })

  it('refuses publishes at once while it is not connected, and keeps none of them', async () => {
    const { url } = await openBroker()
    const console_ = await openClient(url, 'console')
    const heard = collect(console_)
    await console_.subscribeAsync('bramble/1/r/#', { qos: 1 })
    const link = openLink(url, 'req')
    expect(await code(link.publish('bramble/1/r/req/in/m', 'too early', { qos: 1 }))).toBe('not-connected')
    expect(await code(link.publish('bramble/1/r/req/in/m', 'too early', { qos: 0 }))).toBe('not-connected')
    await linkUp(link)
    await link.publish('bramble/1/r/req/in/m', 'in time', { qos: 1 })
    expect((await heard.until(1))[0]!.text).toBe('in time')
    await link.close()
    expect(await code(link.publish('bramble/1/r/req/in/m', 'too late', { qos: 1 }))).toBe('closed')
  })

  it('comes back after it was cut off, subscribes again, and sends nothing twice', async () => {
    const broker = await openBroker()
    const console_ = await openClient(broker.url, 'console')
    const atConsole = collect(console_)
    await console_.subscribeAsync('bramble/1/r/+/in/#', { qos: 1 })
    const link = openLink(broker.url, 'req', { subscriptions: ['bramble/1/r/req/out/#'] })
    const heard: string[] = []
    const reasons: string[] = []
    link.onMessage((_, payload) => void heard.push(payload.toString()))
    link.onDisconnect(({ code: reason }) => reasons.push(reason))
    await linkUp(link)
    for (let round = 1; round <= 3; round += 1) {
      await link.publish('bramble/1/r/req/in/m', `round ${round}`, { qos: 1 })
      // In flight when the connection ends: rejected, and the caller's to send again.
      const cut = link.publish('bramble/1/r/req/in/m', 'cut', { qos: 1 })
      const back = new Promise<void>((resolve) => link.onConnect(resolve))
      broker.kick('req')
      expect(['disconnected', 'resolved']).toContain(await code(cut))
      await back
      await console_.publishAsync('bramble/1/r/req/out/m', `answer ${round}`, { qos: 1 })
      await until(() => heard.length === round)
    }
    await link.publish('bramble/1/r/req/in/m', 'end', { qos: 1 })
    await until(() => atConsole.messages.some(({ text }) => text === 'end'))
    const sent = atConsole.messages.map(({ text }) => text).filter((text) => text !== 'cut')
    expect(sent).toEqual(['round 1', 'round 2', 'round 3', 'end'])
    expect(heard).toEqual(['answer 1', 'answer 2', 'answer 3'])
    expect(reasons).toEqual(['disconnected', 'disconnected', 'disconnected'])
    expect(link.stats()).toMatchObject({ connects: 4, inFlight: 0 })
  })

  it('waits with a growing back-off while nobody answers, and from the beginning after a steady connection', async () => {
    const broker = await openBroker()
    const { port } = broker
    const delays: number[] = []
    let now = 0
    const link = openLink(broker.url, 'req', {
      random: () => 0.5,
      now: () => now,
      sleep: async (ms) => {
        delays.push(ms)
        if (delays.length === 5) again = await openBroker({ port })
      },
    })
    let again: typeof broker | undefined
    await linkUp(link)
    now += 60_000
    const back = new Promise<void>((resolve) => link.onConnect(resolve))
    await broker.close()
    await back
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000])
    now += 60_000
    const third = new Promise<void>((resolve) => link.onConnect(resolve))
    again!.kick('req')
    await third
    expect(delays.slice(5)).toEqual([500])
  })

  it('a connection that is lost at once does not count as a success', async () => {
    const delays: number[] = []
    const broker = await openBroker()
    const link = openLink(broker.url, 'req', {
      random: () => 0.5,
      now: () => 0,
      sleep: async (ms) => void delays.push(ms),
    })
    for (let round = 0; round < 3; round += 1) {
      await linkUp(link)
      const back = new Promise<void>((resolve) => link.onConnect(resolve))
      broker.kick('req')
      await back
    }
    expect(delays).toEqual([500, 1_000, 2_000])
  })

  it('asks for the password at every connection and tells of a refusal', async () => {
    let good = passwordOf('dev-a')
    const broker = await openBroker({
      authenticate: async (username, password) => (password.toString() === good ? principalOf(username) : undefined),
    })
    const link = openLink(broker.url, 'dev-a', { password: () => good.toUpperCase() })
    const refused = await new Promise<Error & { code: string }>((resolve) => link.onRefused(resolve))
    expect(refused).toMatchObject({ code: 'refused', message: expect.stringContaining('Bad username or password') })
    expect(link.connected).toBe(false)
    good = good.toUpperCase()
    await linkUp(link)
  })

  it('goes to where the broker is now', async () => {
    const old = await openBroker()
    let { url } = old
    const link = openLink(old.url, 'dev-a', {
      url: () => url,
      async sleep() {
        url = (await openBroker()).url
      },
    })
    await linkUp(link)
    const again = new Promise<void>((resolve) => link.onConnect(resolve))
    await old.close()
    await again
  })

  it('tells of a subscription that was refused and stays up with the others', async () => {
    const { url } = await openBroker()
    const filters = Array.from({ length: 10 }, (_, i) => `bramble/1/d/dev-a/in/m${i}`)
    const link = openLink(url, 'dev-a', { subscriptions: [...filters, 'bramble/1/d/dev-b/in/#'] })
    const refused: string[] = []
    link.onRefused(({ code: reason, message }) => refused.push(`${reason}: ${message}`))
    const heard: string[] = []
    link.onMessage((topic) => void heard.push(topic))
    await linkUp(link)
    expect(refused).toEqual(['subscription-refused: the broker refused the subscription to bramble/1/d/dev-b/in/#'])
    const console_ = await openClient(url, 'console')
    for (const filter of filters) await console_.publishAsync(filter, 'x', { qos: 1 })
    await until(() => heard.length === filters.length)
    expect(heard).toEqual(filters)
  })

  it('gives up on a connection whose PUBACKs stay away, and connects again', async () => {
    const dummy = await openDummy(() => undefined)
    const link = openLink(dummy.url, 'req', { limits: { pubackMs: 100 } })
    await linkUp(link)
    const flights = [1, 2, 3].map(() => code(link.publish('bramble/1/r/req/in/m', 'x', { qos: 1 })))
    expect(await Promise.all(flights)).toEqual(['no-puback', 'no-puback', 'no-puback'])
    await until(() => dummy.connects() === 2)
  })

  it('waits longer for a large frame, because an uplink may be slow', async () => {
    const dummy = await openDummy(() => undefined)
    const link = openLink(dummy.url, 'req', { limits: { pubackMs: 100 } })
    await linkUp(link)
    const before = performance.now()
    // 4000 bytes at 8 bytes per millisecond are half a second more.
    expect(await code(link.publish('bramble/1/r/req/in/m', Buffer.alloc(4_000), { qos: 1 }))).toBe('no-puback')
    expect(performance.now() - before).toBeGreaterThan(590)
  })

  it('refuses QoS 0 when too much waits to be sent', async () => {
    // A server that stops reading after the first publish.
    const dummy = await openDummy((socket) => socket.pause())
    const link = openLink(dummy.url, 'req', { limits: { backlogBytes: 1_000_000 } })
    await linkUp(link)
    const frame = Buffer.alloc(500_000)
    const outcomes: Promise<unknown>[] = []
    const refusals: unknown[] = []
    while (refusals.length === 0 && outcomes.length < 100) {
      const outcome = code(link.publish('bramble/1/r/req/in/m', frame, { qos: 0 }))
      outcomes.push(outcome)
      void outcome.then((result) => result === 'backlog' && refusals.push(result))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(refusals).toEqual(['backlog'])
  })

  it('close waits for the PUBACKs in flight and says goodbye: the last will is not sent', async () => {
    const broker = await openBroker()
    const console_ = await openClient(broker.url, 'console')
    const heard = collect(console_)
    await console_.subscribeAsync('bramble/1/d/dev-a/#', { qos: 1 })
    const will = { topic: 'bramble/1/d/dev-a/status', payload: 'offline', qos: 1 as const, retain: true }
    const link = openLink(broker.url, 'dev-a', { will })
    await linkUp(link)
    const flights = Array.from({ length: 20 }, (_, i) =>
      code(link.publish('bramble/1/d/dev-a/out/m', `${i}`, { qos: 1 })),
    )
    await link.close()
    expect(await Promise.all(flights)).toEqual(Array.from({ length: 20 }, () => 'resolved'))
    await console_.publishAsync('bramble/1/d/dev-a/ack', 'end', { qos: 1 })
    expect((await heard.until(21)).map(({ text }) => text)).toEqual([
      ...Array.from({ length: 20 }, (_, i) => `${i}`),
      'end',
    ])
  })

  it('close does not wait for ever, whatever state the connection is in', async () => {
    const dummy = await openDummy(() => undefined)
    const mute = openLink(dummy.url, 'req', { limits: { closeMs: 100 } })
    await linkUp(mute)
    const flight = code(mute.publish('bramble/1/r/req/in/m', 'x', { qos: 1 }))
    await mute.close()
    expect(await flight).toBe('closed')
    const nobody = openLink('mqtt://127.0.0.1:1', 'req', { random: () => 1 })
    await nobody.close()
    const connecting = openLink(dummy.url, 'req', { limits: { closeMs: 60_000 } })
    await connecting.close()
    await connecting.close()
    expect(connecting.connected).toBe(false)
  })

  it('a URL that is none is refused before anything starts', () => {
    for (const url of ['localhost', 'http://localhost', '', 'mqtt:'])
      expect(() => connectLink({ url, clientId: 'x', subscriptions: [], log: pino({ level: 'silent' }) })).toThrow(
        expect.objectContaining({ code: 'bad-url' }),
      )
  })
})

describe('handlers', () => {
  it('hold back the PUBACK until they end, and the PUBACKs leave in the order of arrival', async () => {
    const acks: number[] = []
    const server = createServer((socket) => {
      onTestFinished(() => void socket.destroy())
      socket.on('error', () => undefined)
      socket.on('data', (data) => {
        for (let at = 0; at < data.length; at += 2 + data[at + 1]!) {
          const type = data[at]! >> 4
          if (type === 1) socket.write(Buffer.of(0x20, 2, 0, 0))
          // SUBACK, and three QoS 1 messages "1", "2", "3" on topic "t".
          if (type === 8) socket.write(Buffer.of(0x90, 3, data[at + 2]!, data[at + 3]!, 1))
          if (type === 8) for (const id of [1, 2, 3]) socket.write(Buffer.of(0x32, 6, 0, 1, 0x74, 0, id, 0x30 + id))
          if (type === 4) acks.push(data.readUInt16BE(at + 2))
        }
      })
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const link = openLink(`mqtt://127.0.0.1:${port}`, 'req', { subscriptions: ['t'], limits: { closeMs: 100 } })
    const ends = new Map<string, () => void>()
    link.onMessage((_, payload) => new Promise((resolve) => ends.set(payload.toString(), resolve)))
    await until(() => ends.size === 3)
    ends.get('3')!()
    await until(() => link.stats().handling === 2)
    ends.get('1')!()
    await until(() => acks.length === 1)
    expect(acks).toEqual([1])
    ends.get('2')!()
    await until(() => acks.length === 3)
    expect(acks).toEqual([1, 2, 3])
  })

  it('run side by side, and a slow one holds back no other message', async () => {
    const { url } = await openBroker()
    const link = openLink(url, 'dev-a', { subscriptions: ['bramble/1/d/dev-a/in/#'] })
    const gate = Promise.withResolvers<void>()
    const begun: string[] = []
    link.onMessage(async (_, payload) => {
      begun.push(payload.toString())
      await gate.promise
    })
    await linkUp(link)
    const console_ = openLink(url, 'console')
    await linkUp(console_)
    for (let i = 0; i < 16; i += 1) await console_.publish('bramble/1/d/dev-a/in/m/t', `${i}`, { qos: 1 })
    await until(() => begun.length === 16)
    expect(link.stats().handling).toBe(16)
    // While they wait, the link's own publishes are acknowledged.
    await link.publish('bramble/1/d/dev-a/hb', '{}', { qos: 1 })
    gate.resolve()
    await until(() => link.stats().handling === 0)
    expect(begun).toEqual(Array.from({ length: 16 }, (_, i) => `${i}`))
  })

  it('may publish and wait for the PUBACK, even when every one of them does', async () => {
    const { url } = await openBroker()
    const link = openLink(url, 'dev-a', { subscriptions: ['bramble/1/d/dev-a/in/#'], limits: { inboxWindow: 2 } })
    link.onMessage(() => link.publish('bramble/1/d/dev-a/hb', '{}', { qos: 1 }))
    await linkUp(link)
    const console_ = openLink(url, 'console')
    await linkUp(console_)
    await Promise.all(Array.from({ length: 50 }, () => console_.publish('bramble/1/d/dev-a/in/m/t', 'x', { qos: 1 })))
    await console_.publish('bramble/1/d/dev-a/in/m/t', 'x', { qos: 1 })
    await until(() => link.stats().handling === 0)
    expect(link.stats()).toMatchObject({ connects: 1, inFlight: 0 })
  })

  it('run at most so many at once, and too many waiting bytes stop the reading until some are gone', async () => {
    const { url } = await openBroker()
    const limits = { inboxWindow: 4, inboxBytes: 3_000 }
    const link = openLink(url, 'dev-a', { subscriptions: ['bramble/1/d/dev-a/in/#'], limits })
    const ends: (() => void)[] = []
    let running = 0
    let most = 0
    link.onMessage(async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise<void>((resolve) => ends.push(resolve))
      running -= 1
    })
    await linkUp(link)
    const console_ = openLink(url, 'console')
    await linkUp(console_)
    for (let i = 0; i < 20; i += 1)
      await console_.publish('bramble/1/d/dev-a/in/m/t', Buffer.alloc(1_000), { qos: i % 2 === 0 ? 0 : 1 })
    // Four run, three wait, and the one that was one too many.
    await until(() => link.stats().handling === 8)
    for (let ended = 0; ended < 20; ended += 1) {
      await until(() => ends.length > ended)
      expect(link.stats().handling).toBeLessThanOrEqual(8)
      ends[ended]!()
    }
    await until(() => link.stats().handling === 0)
    expect([ends.length, most]).toEqual([20, 4])
  })

  it('that fail are counted, and the messages after them arrive', async () => {
    const { url } = await openBroker()
    const link = openLink(url, 'dev-a', { subscriptions: ['bramble/1/d/dev-a/in/#'] })
    const heard: string[] = []
    link.onMessage((_, payload) => {
      if (payload.length === 0) throw new Error('cannot')
      heard.push(payload.toString())
    })
    await linkUp(link)
    const console_ = openLink(url, 'console')
    await linkUp(console_)
    for (const text of ['', '', 'after']) await console_.publish('bramble/1/d/dev-a/in/m/t', text, { qos: 1 })
    await until(() => heard.length === 1)
    expect(link.stats().handlerFailures).toBe(2)
    expect(link.connected).toBe(true)
  })
})
