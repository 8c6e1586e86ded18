// The agent's core on a real link, through a proxy that can fail, to a real broker with a console on it. Real time: what is
// set in milliseconds here is set in seconds on a board.
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pino } from 'pino'
import { createSteady, systemClock } from '../../agent/clock.ts'
import { createCore } from '../../agent/core.ts'
import { openBuffer } from '../../agent/outbox/buffer.ts'
import { connectLink } from '../../broker/link.ts'
import { type ReceiptBatch, verifyBatch } from '../../broker/protocol/receipts.ts'
import { filters, formatTopic, parseTopic } from '../../broker/protocol/topics.ts'
import { readCatalog } from '../../models/catalog.ts'
import { openTestBroker } from '../agent/board.ts'
import { DEVICE, RUNTIME } from '../agent/buffer-rig.ts'
import { createDesk } from './desk.ts'
import { isFinal, judge } from './judge.ts'
import { createKeys } from './keys.ts'
import { startProxy } from './proxy.ts'
import { freshMemoryFolder } from './world.ts'

const MODEL = 'mobilenet-v1'
const LEASE_MS = 300
const PUBACK_MS = 250
const log = pino({ level: 'silent' })

export async function openWired() {
  const folder = freshMemoryFolder()
  const { privateKey, publicKey } = createKeys(folder)
  const catalog = await readCatalog(new URL('../../models', import.meta.url).pathname)
  const broker = await openTestBroker()
  const proxy = await startProxy(() => Number(new URL(broker.url).port))
  const buffer = openBuffer({
    file: join(folder, 'buffer.db'),
    device: DEVICE,
    privateKey,
    capBytes: 1 << 28,
    now: createSteady(systemClock),
  })
  const origin = buffer.origin('boot', RUNTIME)
  let connects = 0
  let onConnect = (): void => undefined
  const link = connectLink({
    url: `mqtt://127.0.0.1:${proxy.port}`,
    clientId: DEVICE,
    username: DEVICE,
    password: 'the credential',
    subscriptions: filters.deviceInput(DEVICE),
    log,
    limits: { pubackMs: PUBACK_MS, connectMs: 1_000, backoff: { firstMs: 1, longestMs: 5 } },
  })
  const core = createCore({
    device: DEVICE,
    root: 'bramble/1',
    receipts: true,
    limits: { framesPerModel: 64, bytesPerModel: 1 << 20, payloadBytes: 1 << 16 },
    buffer,
    host: {
      run: async (_, { data }) => {
        await wait(2)
        const digest = createHash('sha256').update(data).digest('hex')
        return { ok: true, prediction: { kind: 'classification', labels: [] }, digest, ms: { decode: 1, infer: 2 } }
      },
    },
    serving: { find: (id) => catalog.resolve(id), names: () => [MODEL], fault: () => undefined },
    origin: () => origin,
    publish: (topic, payload) => link.publish(topic, payload, { qos: 1 }),
    clock: systemClock,
    newId: () => 'made',
    log,
  })
  link.onMessage((topic, payload, retain) => core.intake.receive(topic, payload, retain))
  link.onConnect(() => {
    connects += 1
    core.outbox.connected()
    onConnect()
  })
  link.onDisconnect(() => core.outbox.disconnected())
  core.work.start()

  const asked = new Map<string, Buffer>()
  const answers: { task: string; payload: string }[] = []
  const batches: string[] = []
  const answered = new Set<string>()
  const desk = createDesk(answered)
  const verify = (jws: string): ReceiptBatch => {
    const verified = verifyBatch(jws, DEVICE, publicKey)
    if (!verified.ok) throw new Error(verified.reason)
    return verified.batch
  }
  const console = connectLink({
    url: broker.url,
    clientId: 'console',
    username: 'console',
    password: 'x',
    subscriptions: filters.console(),
    log,
  })
  console.onMessage((text, payload) => {
    const topic = parseTopic(text)
    if (topic?.kind === 'device-out' && topic.task !== undefined) {
      answers.push({ task: topic.task, payload: payload.toString() })
      if (isFinal(payload.toString())) answered.add(topic.task)
    }
    if (topic?.kind !== 'receipts') return
    batches.push(payload.toString())
    const ack = desk.take(verify(payload.toString()))
    if (ack) void console.publish(formatTopic({ kind: 'ack', device: DEVICE }), JSON.stringify(ack), { qos: 1 })
  })
  await new Promise<void>((resolve) => console.onConnect(resolve))

  function send(id: string): void {
    const frame = asked.get(id) ?? Buffer.concat([Buffer.of(0xff, 0xd8, 0xff, 0xe0), Buffer.from(id)])
    asked.set(id, frame)
    void console.publish(formatTopic({ kind: 'device-in', device: DEVICE, model: MODEL, task: id }), frame, { qos: 1 })
  }
  const leases = setInterval(() => {
    for (const id of asked.keys()) if (!answered.has(id)) send(id)
  }, LEASE_MS)

  return {
    proxy,
    send,
    buffer,
    connects: () => connects,
    /** Resolves when the board has connected more than `times` times. */
    connectedAfter: (times: number): Promise<void> =>
      new Promise((resolve) => {
        onConnect = () => connects > times && resolve()
        onConnect()
      }),
    async settle(): Promise<void> {
      while (buffer.owed() > 0 || core.work.load() > 0 || [...asked.keys()].some((id) => !answered.has(id)))
        await wait(10)
    },
    verdict: (): string[] => judge({ accepted: asked.keys(), answers, batches, verify }),
    async close(): Promise<void> {
      clearInterval(leases)
      await link.close()
      core.outbox.close()
      core.commits.close()
      await console.close()
      await proxy.close()
      await broker.close()
      buffer.close()
      rmSync(folder, { recursive: true })
    },
  }
}
