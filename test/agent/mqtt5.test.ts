import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync, type IPublishPacket } from 'mqtt'
import { pino } from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createReplies } from '../../agent/outbox/replies.ts'
import { ownTopics } from '../../broker/protocol/topics.ts'
import { missing, startMosquitto } from '../broker/programs.ts'
import { runAgent } from './board.ts'

const photo = readFileSync(new URL('../../models/mobilenet-v1/golden/coffee.jpg', import.meta.url))

describe('a pipeline that speaks MQTT 5', () => {
  it('is answered where it listens, with its correlation data, and the record stays where it always is', async (context) => {
    context.skip(missing.mosquitto !== undefined, missing.mosquitto ?? '')
    const folder = mkdtempSync(join(tmpdir(), 'mqtt5-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const { url } = await startMosquitto()
    const flags = ['--data', folder, '--mqtt-url', url, '--device', 'my-board', '--serve', 'mobilenet-v1']
    const board = runAgent(['run', ...flags])
    onTestFinished(() => void board.child.kill('SIGKILL'))
    expect(await board.logged('"connected"')).toContain('"mqtt":"5"')
    await board.logged('"serving"')

    const client = await connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0 }, false)
    onTestFinished(() => void client.end(true))
    const packets: IPublishPacket[] = []
    const waiting: (() => void)[] = []
    client.on('message', (_topic, _payload, packet) => {
      packets.push(packet)
      for (const wake of waiting.splice(0)) wake()
    })
    const heard = async (topic: string): Promise<{ text: string; properties: IPublishPacket['properties'] }> => {
      for (;;) {
        const packet = packets.find((one) => one.topic === topic)
        if (packet) return { text: packet.payload.toString(), properties: packet.properties }
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    }
    await client.subscribeAsync(['bramble/1/d/my-board/out/#', 'answers/#'], { qos: 1 })
    const input = 'bramble/1/d/my-board/in/mobilenet-v1'
    const ask = (task: string, responseTopic: string, more: object = {}) =>
      client.publishAsync(`${input}/${task}`, photo, {
        qos: 1,
        properties: { responseTopic, correlationData: Buffer.from(task), ...more },
      })

    await ask('t1', 'answers/one')
    const record = await heard('bramble/1/d/my-board/out/mobilenet-v1/t1')
    const reply = await heard('answers/one')
    expect(reply.text).toBe(record.text)
    expect(JSON.parse(reply.text)).toMatchObject({ id: 't1', result: { kind: 'classification' } })
    expect(reply.properties).toMatchObject({ contentType: 'application/json', correlationData: Buffer.from('t1') })
    expect(record.properties).toMatchObject({ contentType: 'application/json' })
    // A result must not expire on its way.
    expect(record.properties).not.toHaveProperty('messageExpiryInterval')

    // The same id again, perhaps by a pipeline that has restarted: answered from memory, where it listens now.
    await ask('t1', 'answers/two')
    expect((await heard('answers/two')).text).toBe(record.text)

    // Refusals are answers too.
    await client.publishAsync(`${input}/t2`, 'no picture', { qos: 1, properties: { responseTopic: 'answers/three' } })
    expect(JSON.parse((await heard('answers/three')).text)).toMatchObject({ error: { code: 'bad-frame' } })

    // The stream of a camera.
    await client.publishAsync(input, photo, { qos: 0, properties: { responseTopic: 'answers/stream' } })
    expect(JSON.parse((await heard('answers/stream')).text)).toMatchObject({ result: { kind: 'classification' } })
  }, 20_000)
})

describe('replies', () => {
  it('are not said where the board speaks for itself', () => {
    const sent: string[] = []
    const replies = createReplies({
      send: async (topic) => void sent.push(topic),
      own: ownTopics('dev-a'),
      log: pino({ level: 'silent' }),
    })
    for (const responseTopic of [
      'bramble/1/d/dev-a/status',
      'bramble/1/d/dev-a/receipts',
      'homeassistant/device/dev-a/config',
      'bramble/1/d/dev-ab/x',
      'answers/here',
    ])
      replies.send({ payload: '{}', responseTopic })
    replies.send({ payload: '{}' })
    expect(sent).toEqual(['bramble/1/d/dev-ab/x', 'answers/here'])
  })

  it('that the broker does not take are lost, not kept', async () => {
    const gate = Promise.withResolvers<void>()
    let sent = 0
    const replies = createReplies({
      send: () => {
        sent += 1
        return gate.promise
      },
      own: [],
      log: pino({ level: 'silent' }),
    })
    for (let i = 0; i < 1_000; i += 1) replies.send({ payload: '{}', responseTopic: 'a' })
    expect(sent).toBe(256)
    gate.reject(new Error('gone'))
    await new Promise((resolve) => setImmediate(resolve))
    replies.send({ payload: '{}', responseTopic: 'a' })
    expect(sent).toBe(257)
  })
})
