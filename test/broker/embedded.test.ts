import { once } from 'node:events'
import { createServer } from 'node:net'
import { connectAsync } from 'mqtt'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startBroker } from '../../broker/embedded.ts'
import { deviceGrants } from '../../broker/protocol/credentials.ts'
import { authenticate, collect, ended, openBroker, openClient, openSocket, raw, silent } from './rig.ts'

const refusedWith = async (connecting: Promise<unknown>): Promise<unknown> =>
  connecting.then(
    () => 'connected',
    (error: { code?: unknown }) => error.code,
  )

describe('who comes in', () => {
  it('a device, a requester and the console talk as they were granted', async () => {
    const { url } = await openBroker()
    const [device, console_, requester] = await Promise.all(
      ['dev-a', 'console', 'req'].map((name) => openClient(url, name)),
    )
    const heard = [collect(device!), collect(console_!), collect(requester!)]
    await device!.subscribeAsync('bramble/1/d/dev-a/in/#', { qos: 1 })
    await console_!.subscribeAsync(['bramble/1/d/+/out/#', 'bramble/1/r/+/in/#'], { qos: 1 })
    await requester!.subscribeAsync('bramble/1/r/req/out/#', { qos: 1 })
    await requester!.publishAsync('bramble/1/r/req/in/m/t', 'frame', { qos: 1 })
    await console_!.publishAsync('bramble/1/d/dev-a/in/m/t', 'frame', { qos: 1 })
    await device!.publishAsync('bramble/1/d/dev-a/out/m/t', 'answer', { qos: 1 })
    await console_!.publishAsync('bramble/1/r/req/out/m/t', 'answer', { qos: 0 })
    expect((await heard[0]!.until(1)).map(({ topic }) => topic)).toEqual(['bramble/1/d/dev-a/in/m/t'])
    expect((await heard[1]!.until(2)).map(({ text }) => text)).toEqual(['frame', 'answer'])
    expect((await heard[2]!.until(1)).map(({ text }) => text)).toEqual(['answer'])
  })

  it('each refusal has its CONNACK code and its count', async () => {
    const broker = await openBroker({
      authenticate: async (username, password, clientId) => {
        if (username === 'dev-broken') throw new Error('the database is gone')
        if (username === 'dev-mute') return new Promise(() => undefined)
        if (username === 'dev-old') return { role: 'device', id: username, grants: [], expiresAt: Date.now() - 1 }
        if (username === 'dev-other') return { role: 'device', id: 'dev-a', grants: [] }
        return authenticate(username, password, clientId)
      },
      limits: { connectMs: 200 },
    })
    const attempt = (username: string, options = {}) => refusedWith(openClient(broker.url, username, options))
    expect(await attempt('dev-a', { password: 'wrong' })).toBe(4)
    expect(await attempt('stranger')).toBe(4)
    expect(await attempt('dev-old')).toBe(4)
    expect(await attempt('dev-other')).toBe(4)
    expect(await attempt('../dev-a')).toBe(4)
    expect(await refusedWith(connectAsync(broker.url, { reconnectPeriod: 0 }, false))).toBe(4)
    expect(await attempt('dev-a', { clientId: 'dev-b' })).toBe(2)
    expect(await attempt('req', { clientId: 'x'.repeat(300) })).toBe(2)
    expect(await attempt('dev-broken')).toBe(3)
    expect(await attempt('dev-mute')).toBe(3)
    const will = { topic: 'bramble/1/d/dev-b/status', payload: Buffer.from('offline'), qos: 1 as const, retain: true }
    expect(await attempt('dev-a', { will })).toBe(5)
    expect(broker.stats().refused).toMatchObject({
      'bad-credential': 5,
      'credential-expired': 1,
      'bad-client-id': 2,
      'authentication-failed': 2,
      'will-not-permitted': 1,
    })
    expect(await attempt('dev-a')).toBe('connected')
  })

  it('a requester may hold several connections, up to the cap, and coming back needs no new place', async () => {
    const broker = await openBroker({ limits: { connectionsPerUser: 2 } })
    await openClient(broker.url, 'req', { clientId: 'one' })
    const two = await openClient(broker.url, 'req', { clientId: 'two' })
    expect(await refusedWith(openClient(broker.url, 'req', { clientId: 'three' }))).toBe(3)
    const gone = ended(two)
    await openClient(broker.url, 'req', { clientId: 'two' })
    await gone
    expect(await refusedWith(openClient(broker.url, 'req2'))).toBe('connected')
    expect(broker.stats().refused['user-connections-full']).toBe(1)
  })

  it('nobody takes over the session of another user by using its client id', async () => {
    const { url } = await openBroker()
    const device = await openClient(url, 'dev-a')
    const thief = await openClient(url, 'req', { clientId: 'dev-a' })
    const heard = collect(device)
    await device.subscribeAsync('bramble/1/d/dev-a/in/#')
    const console_ = await openClient(url, 'console')
    await console_.publishAsync('bramble/1/d/dev-a/in/m', 'still here', { qos: 1 })
    expect((await heard.until(1))[0]!.text).toBe('still here')
    expect(thief.connected).toBe(true)
  })

  it('an expired credential ends the connection at its time', async () => {
    const expiresAt = Date.now() + 300
    const broker = await openBroker({
      authenticate: async (id) => ({ role: 'device', id, grants: deviceGrants(id), expiresAt }),
    })
    const device = await openClient(broker.url, 'dev-a')
    await ended(device)
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt)
    expect(broker.stats().refused['credential-expired']).toBe(1)
  })

  it('kick ends the connections of one user and nobody else', async () => {
    const broker = await openBroker()
    const [a, b] = await Promise.all([openClient(broker.url, 'dev-a'), openClient(broker.url, 'dev-b')])
    const gone = ended(a!)
    broker.kick('dev-a')
    await gone
    expect(b!.connected).toBe(true)
    expect(broker.stats().refused.kicked).toBe(1)
  })
})

describe('who says what', () => {
  it('a publish to a foreign topic ends that connection, reaches nobody, and disturbs nobody', async () => {
    const broker = await openBroker()
    const [a, b, console_] = await Promise.all(
      ['dev-a', 'dev-b', 'console'].map((name) => openClient(broker.url, name)),
    )
    const heard = collect(console_!)
    await console_!.subscribeAsync('bramble/1/#', { qos: 1 })
    const gone = ended(a!)
    await a!.publishAsync('bramble/1/d/dev-a/out/m', 'mine', { qos: 1 })
    a!.publish('bramble/1/d/dev-b/out/m', 'forged', { qos: 1 })
    await gone
    await b!.publishAsync('bramble/1/d/dev-b/out/m', 'genuine', { qos: 1 })
    expect((await heard.until(2)).map(({ text }) => text)).toEqual(['mine', 'genuine'])
    expect(b!.connected && console_!.connected).toBe(true)
    expect(broker.stats()).toMatchObject({ refused: { 'denied-publish': 1 }, published: 2 })
  })

  it('a subscription that is not granted gets 0x80 and the connection stays', async () => {
    const broker = await openBroker()
    const device = await openClient(broker.url, 'dev-a')
    for (const filter of ['bramble/1/#', 'bramble/1/d/dev-b/in/#', '$SYS/#', '$share/g/bramble/1/d/dev-a/in/#'])
      await expect(device.subscribeAsync(filter)).rejects.toMatchObject({ packet: { granted: [128] } })
    expect(await device.subscribeAsync('bramble/1/d/dev-a/in/#', { qos: 1 })).toMatchObject([{ qos: 1 }])
    expect(broker.stats().deniedSubscribes).toBe(4)
    expect(device.connected).toBe(true)
  })

  it('subscriptions of one connection are capped, and unsubscribing makes room', async () => {
    const { url } = await openBroker({ limits: { filtersPerConnection: 2 } })
    const requester = await openClient(url, 'req')
    const subscribe = (model: string) => requester.subscribeAsync(`bramble/1/r/req/out/${model}`)
    await subscribe('a')
    await subscribe('b')
    await subscribe('a')
    await expect(subscribe('c')).rejects.toMatchObject({ packet: { granted: [128] } })
    await requester.unsubscribeAsync('bramble/1/r/req/out/a')
    await subscribe('c')
  })

  it('a last will is said when a device vanishes and not when it leaves', async () => {
    const { url, kick } = await openBroker()
    const console_ = await openClient(url, 'console')
    const heard = collect(console_)
    await console_.subscribeAsync('bramble/1/d/+/status', { qos: 1 })
    const will = (id: string) => ({
      will: { topic: `bramble/1/d/${id}/status`, payload: Buffer.from('offline'), qos: 1 as const, retain: true },
    })
    const leaving = await openClient(url, 'dev-a', will('dev-a'))
    await leaving.endAsync()
    await openClient(url, 'dev-b', will('dev-b'))
    kick('dev-b')
    expect((await heard.until(1))[0]).toMatchObject({ topic: 'bramble/1/d/dev-b/status', text: 'offline' })
    const later = await openClient(url, 'console', { clientId: 'later' })
    const retained = collect(later)
    await later.subscribeAsync('bramble/1/d/+/status', { qos: 1 })
    expect((await retained.until(1))[0]).toMatchObject({ text: 'offline', retain: true })
  })

  it('only the state of boards is retained; elsewhere the message arrives and is not kept', async () => {
    const broker = await openBroker()
    const console_ = await openClient(broker.url, 'console')
    const heard = collect(console_)
    await console_.subscribeAsync('bramble/1/#', { qos: 1 })
    const device = await openClient(broker.url, 'dev-a')
    const keep = { qos: 1 as const, retain: true }
    await device.publishAsync('bramble/1/d/dev-a/status', 'online', keep)
    await device.publishAsync('bramble/1/d/dev-a/out/m', 'answer', keep)
    await device.publishAsync('bramble/1/d/dev-a/info', '{}', keep)
    await device.publishAsync('bramble/1/d/dev-a/info', '', keep)
    expect((await heard.until(4)).map(({ text }) => text)).toEqual(['online', 'answer', '{}', ''])
    const later = await openClient(broker.url, 'console', { clientId: 'later' })
    const kept = collect(later)
    await later.subscribeAsync('bramble/1/#', { qos: 1 })
    await later.publishAsync('bramble/1/d/dev-a/ack', 'end', { qos: 1 })
    expect((await kept.until(2)).map(({ topic }) => topic).sort()).toEqual([
      'bramble/1/d/dev-a/ack',
      'bramble/1/d/dev-a/status',
    ])
    expect(broker.stats()).toMatchObject({ retainRefused: 1, retainedTopics: 1 })
  })

  it('a client that asks for a session is told that there is none, and nothing is kept for it', async () => {
    const { url } = await openBroker()
    const options = { clean: false, resubscribe: false }
    const first = await openClient(url, 'req', options)
    await first.subscribeAsync('bramble/1/r/req/out/#', { qos: 1 })
    await first.endAsync()
    const console_ = await openClient(url, 'console')
    await console_.publishAsync('bramble/1/r/req/out/m', 'while away', { qos: 1 })
    const second = await openClient(url, 'req', options)
    const heard = collect(second)
    await second.subscribeAsync('bramble/1/r/req/out/#', { qos: 1 })
    await console_.publishAsync('bramble/1/r/req/out/m', 'back again', { qos: 1 })
    expect((await heard.until(1))[0]!.text).toBe('back again')
  })

  it('QoS 2, which others may speak, is delivered once', async () => {
    const { url } = await openBroker()
    const [requester, console_] = await Promise.all([openClient(url, 'req'), openClient(url, 'console')])
    const heard = collect(console_)
    await console_.subscribeAsync('bramble/1/r/+/in/#', { qos: 1 })
    await requester.publishAsync('bramble/1/r/req/in/m/t', 'twice sure', { qos: 2 })
    await requester.publishAsync('bramble/1/r/req/in/m/t', 'next', { qos: 1 })
    expect((await heard.until(2)).map(({ text }) => text)).toEqual(['twice sure', 'next'])
  })

  it('what a client sends right behind CONNECT is read once it was let in', async () => {
    const { port, url } = await openBroker()
    const console_ = await openClient(url, 'console')
    const heard = collect(console_)
    await console_.subscribeAsync('bramble/1/r/+/in/#')
    const socket = await openSocket(port)
    const frame = Buffer.alloc(200_000, 0x61)
    socket.write(Buffer.concat([raw.connect('req'), raw.publish('bramble/1/r/req/in/m', frame)]))
    expect((await heard.until(1))[0]!.text).toHaveLength(frame.length)
    const stranger = await openSocket(port)
    stranger.write(Buffer.concat([raw.connect('req', 'wrong'), raw.publish('bramble/1/r/req/in/m', Buffer.from('x'))]))
    await once(stranger, 'close')
    await console_.publishAsync('bramble/1/r/req/in/m', 'end', { qos: 1 })
    expect((await heard.until(2))[1]!.text).toBe('end')
  })
})

describe('opening and closing', () => {
  it('a port that is taken is one sentence, and nothing stays open', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const options = { host: '127.0.0.1', log: silent, now: Date.now, authenticate }
    await expect(startBroker({ ...options, port })).rejects.toMatchObject({
      code: 'port-taken',
      message: `port ${port} on 127.0.0.1 is taken: stop the program that uses it or choose another port`,
    })
    const free = await openBroker()
    await free.close()
    await expect(startBroker({ ...options, port: free.port, wsPort: port })).rejects.toMatchObject({
      code: 'port-taken',
    })
    const again = await openBroker({ port: free.port })
    expect(again.port).toBe(free.port)
  })

  it('an address of another machine is one sentence', async () => {
    await expect(openBroker({ host: '192.0.2.1' })).rejects.toMatchObject({ code: 'bad-address' })
  })

  it('close ends every connection, also one that never said CONNECT', async () => {
    const broker = await openBroker({ wsPort: 0 })
    const silentSocket = await openSocket(broker.port)
    const client = await openClient(broker.url, 'dev-a')
    const ends = [once(silentSocket, 'close'), ended(client)]
    await broker.close()
    await Promise.all(ends)
    expect(broker.stats().connections).toBe(0)
  })

  it('a password may hold any bytes', async () => {
    const { url } = await openBroker({
      authenticate: async (id, password) =>
        password.equals(Buffer.of(0, 255, 1)) ? { role: 'device', id, grants: [] } : undefined,
    })
    const client = await openClient(url, 'dev-a', { password: Buffer.of(0, 255, 1) })
    expect(client.connected).toBe(true)
  })
})
