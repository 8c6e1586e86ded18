// The board's half of the outbox bench, in a process of its own with the agent's V8 flags: buffer, commits and outbox as
// the agent wires them, on a real link. Prints one JSON line.
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pino } from 'pino'
import { createSteady, systemClock } from '../../agent/clock.ts'
import { openBuffer } from '../../agent/outbox/buffer.ts'
import type { Answer } from '../../agent/outbox/buffer-write.ts'
import { createCommits } from '../../agent/outbox/commits.ts'
import { createOutbox } from '../../agent/outbox.ts'
import { connectLink } from '../../broker/link.ts'
import { AckMessage } from '../../broker/protocol/messages.ts'
import { formatTopic } from '../../broker/protocol/topics.ts'

const [url = '', folder = '', device = '', flood = '0', pace = '0', paced = '0'] = process.argv.slice(2)
/** Results made and not yet published, at most: enough to keep every stage busy. */
const UNPUBLISHED = 100

const log = pino({ level: 'silent' })
const { privateKey } = generateKeyPairSync('ed25519')
const buffer = openBuffer({
  file: join(folder, 'buffer.db'),
  device,
  privateKey,
  capBytes: 1 << 28,
  now: createSteady(systemClock),
})
let commitsDone = 0
const commits = createCommits({
  buffer: {
    ...buffer,
    write(changes) {
      commitsDone += 1
      return buffer.write(changes)
    },
  },
  clock: systemClock,
  log,
  onWritten: () => outbox.wake(),
})
const receiptsTopic = formatTopic({ kind: 'receipts', device })
let made = 0
let published = 0
let more: () => void = () => undefined
let acknowledged = 0
let acked: () => void = () => undefined
const outbox = createOutbox({
  buffer,
  commits,
  clock: systemClock,
  log,
  async publish(topic, payload) {
    await link.publish(topic, payload, { qos: 1 })
    if (topic === receiptsTopic) return
    published += 1
    if (made - published < UNPUBLISHED) more()
  },
  topicOf: ({ model, task }) => formatTopic({ kind: 'device-out', device, model, ...(task !== null && { task }) }),
  receiptsTopic,
})
const link = connectLink({
  url,
  clientId: device,
  username: device,
  password: device,
  subscriptions: [formatTopic({ kind: 'ack', device })],
  log,
})
link.onMessage((_, payload) => {
  acknowledged = AckMessage.parse(JSON.parse(payload.toString())).upTo
  outbox.acknowledged(acknowledged)
  acked()
})
await new Promise<void>((resolve) => link.onConnect(resolve))
outbox.connected()

const RUNTIME = { ort: '1.30.0', provider: 'cpu', cpu: 'x64-vnni', decoder: 'jpeg-turbo-3.0.1', flags: [] }
const origin = buffer.origin('bench', RUNTIME)
const hex = (n: number): string => n.toString(16).padStart(64, '0')
const box = [0.123456789, 0.234567891, 0.345678912, 0.456789123]

/** A detection with three objects, as ssd-mobilenet-v1 answers: 800 bytes, and 320 of receipt. */
function answerOf(n: number): Answer {
  const task = `01HZZZZZZZ${String(n).padStart(16, '0')}`
  const objects = [1, 2, 3].map((index) => ({ label: 'person', index, score: 0.912345678, box }))
  const head = { id: task, model: 'ssd-mobilenet-v1@1.0.0', device, at: new Date(systemClock.now()).toISOString() }
  const ms = { queue: 1.2, decode: 3.4, infer: 12.3 }
  const payload = JSON.stringify({ ...head, ms, digest: hex(n), result: { kind: 'detection', objects } })
  const item = { task, model: hex(1), input: hex(n), output: hex(n), at: systemClock.now(), ms: 12.3 }
  return { kind: 'task', model: 'ssd-mobilenet-v1', task, payload, remember: true, receipt: { item, origin } }
}

/** Bytes that this process has caused to be sent to the disk, counted by the kernel in pages of 4 KiB. */
const written = (): number => Number(/^write_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? 0)
const make = (): void => {
  made += 1
  commits.add(answerOf(made))
}

/** Everything is published, in a batch, and the console has acknowledged the last batch. */
async function delivered(): Promise<void> {
  while (published < made || buffer.uncut() > 0 || acknowledged < buffer.lastSeq())
    await new Promise<void>((resolve) => {
      acked = resolve
      more = resolve
    })
}

async function settled(): Promise<void> {
  while (buffer.owed() > 0) await wait(50)
}

async function measure(results: number, feed: (until: number) => Promise<void>) {
  const [bytes, commitsBefore, cpu, from] = [written(), commitsDone, process.cpuUsage(), performance.now()]
  await feed(made + results)
  await delivered()
  const elapsedS = (performance.now() - from) / 1_000
  await settled()
  const used = process.cpuUsage(cpu)
  return {
    resultsPerS: Math.round(results / elapsedS),
    bytesPer1000: Math.round(((written() - bytes) / results) * 1_000),
    commits: commitsDone - commitsBefore,
    cpuMsPer1000: Math.round((used.user + used.system) / results),
  }
}

const flooded = await measure(Number(flood), async (until) => {
  while (made < until) {
    const free = new Promise<void>((resolve) => {
      more = resolve
    })
    while (made < until && made - published < UNPUBLISHED) make()
    if (made < until) await free
  }
})
const dripped = await measure(Number(paced), async (until) => {
  while (made < until) {
    make()
    await wait(1_000 / Number(pace))
  }
})
console.log(JSON.stringify({ flooded, dripped }))
await link.close()
outbox.close()
commits.close()
buffer.close()
