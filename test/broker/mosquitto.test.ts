import { describe, expect, it, type TestContext } from 'vitest'
import { missing, startMosquitto } from './programs.ts'
import { collect, linkUp, openLink as openAnyLink, openClient, until } from './rig.ts'

const here = (context: TestContext): void => context.skip(missing.mosquitto !== undefined, missing.mosquitto ?? '')

describe.each([4, 5, 'auto'] as const)('a link on mosquitto, MQTT version %s', (version) => {
  const openLink: typeof openAnyLink = (url, username, options = {}) =>
    openAnyLink(url, username, { version, ...options })

  it('publishes and hears as on the embedded broker', async (context) => {
    here(context)
    const { url } = await startMosquitto()
    const device = openLink(url, 'dev-a', { subscriptions: ['bramble/1/d/dev-a/in/#', 'bramble/1/d/dev-a/ack'] })
    const console_ = openLink(url, 'console', { subscriptions: ['bramble/1/d/+/out/#'] })
    const answers: string[] = []
    device.onMessage((topic, payload) =>
      device.publish(topic.replace('/in/', '/out/'), `${payload.length}`, { qos: 1 }),
    )
    console_.onMessage((topic) => void answers.push(topic))
    await Promise.all([linkUp(device), linkUp(console_)])
    const tasks = Array.from({ length: 200 }, (_, i) => `t${i}`)
    await Promise.all(
      tasks.map((task) => console_.publish(`bramble/1/d/dev-a/in/m/${task}`, Buffer.alloc(20_000), { qos: 1 })),
    )
    await until(() => answers.length === tasks.length)
    expect(answers.map((topic) => topic.split('/').at(-1)).sort()).toEqual([...tasks].sort())
  })

  it('comes back after the broker was killed', async (context) => {
    here(context)
    const mosquitto = await startMosquitto()
    const link = openLink(mosquitto.url, 'dev-a', { subscriptions: ['bramble/1/d/dev-a/in/#'] })
    const heard: string[] = []
    link.onMessage((_, payload) => void heard.push(payload.toString()))
    await linkUp(link)
    const gone = new Promise<void>((resolve) => link.onDisconnect(() => resolve()))
    const back = new Promise<void>((resolve) => link.onConnect(resolve))
    await mosquitto.restart()
    await Promise.all([gone, back])
    await link.publish('bramble/1/d/dev-a/in/m', 'to myself', { qos: 1 })
    await until(() => heard.length === 1)
    expect(heard).toEqual(['to myself'])
  })

  it('leaves no last will when it closes and one when it is cut off', async (context) => {
    here(context)
    const mosquitto = await startMosquitto()
    const watcher = await openClient(mosquitto.url, 'watcher')
    const heard = collect(watcher)
    await watcher.subscribeAsync('bramble/1/d/+/status', { qos: 1 })
    const will = (id: string) => ({
      will: { topic: `bramble/1/d/${id}/status`, payload: 'offline', qos: 1 as const, retain: true },
    })
    const leaving = openLink(mosquitto.url, 'dev-a', will('dev-a'))
    await linkUp(leaving)
    await leaving.close()
    const cut = openLink(mosquitto.url, 'dev-b', {
      ...will('dev-b'),
      sleep: (_, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
    })
    await linkUp(cut)
    // A second client with the same id takes the first one's place.
    await openClient(mosquitto.url, 'dev-b')
    expect((await heard.until(1))[0]).toMatchObject({ topic: 'bramble/1/d/dev-b/status', text: 'offline' })
  })

  it('is refused in words by a broker that wants a password', async (context) => {
    here(context)
    const { url } = await startMosquitto(['allow_anonymous false'])
    const link = openLink(url, 'dev-a')
    const refused = await new Promise<Error>((resolve) => link.onRefused(resolve))
    expect(refused).toMatchObject({ code: 'refused', message: expect.stringContaining('Not authorized') })
  })
})
