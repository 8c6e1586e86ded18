// `node test/bench/outbox.ts`: results through the outbox, from the answer to the console's ack, over a real broker and a
// real disk; and what a thousand of them write to the card.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { startBroker } from '../../broker/embedded.ts'
import { connectLink } from '../../broker/link.ts'
import { consoleGrants, deviceGrants } from '../../broker/protocol/credentials.ts'
import { filters, formatTopic, parseTopic } from '../../broker/protocol/topics.ts'
import { freshFolder, ROOT, removeFolder } from '../harness/bramble.ts'

export interface OutboxFigures {
  readonly resultsPerS: number
  /** Bytes sent to the disk as the kernel counts them (write_bytes of /proc/self/io, whole pages, without the file system's journal). */
  readonly bytesPer1000: number
  readonly commits: number
  readonly cpuMsPer1000: number
}

export interface OutboxMeasured extends OutboxFigures {
  /** The same at the pace of one camera: hardly two answers share a commit. */
  readonly dripped: OutboxFigures
}

const DEVICE = 'bench-outbox'
const FLOOD = 30_000
const DRIP = { perS: 20, results: 200 }
/** The agent's own (agent/lean.ts). */
const FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=192', '--no-opt', '--no-maglev']
const silent = pino({ level: 'silent' })

/** The console's part, as cheap as it can be: it hears every answer and acknowledges every batch. */
async function startConsole(url: string) {
  const link = connectLink({
    url,
    clientId: 'console',
    username: 'console',
    password: 'x',
    subscriptions: filters.console(),
    log: silent,
  })
  const tasks = new Set<string>()
  link.onMessage((text, payload) => {
    const topic = parseTopic(text)
    if (topic?.kind === 'device-out' && topic.task !== undefined) tasks.add(topic.task)
    if (topic?.kind !== 'receipts') return
    const { chain, seq } = JSON.parse(Buffer.from(payload.toString().split('.')[1] ?? '', 'base64url').toString())
    void link.publish(formatTopic({ kind: 'ack', device: DEVICE }), JSON.stringify({ chain, upTo: seq }), { qos: 1 })
  })
  await new Promise<void>((resolve) => link.onConnect(resolve))
  return { link, tasks }
}

export async function measureOutbox(flood = FLOOD): Promise<OutboxMeasured> {
  const broker = await startBroker({
    host: '127.0.0.1',
    port: 0,
    log: silent,
    now: Date.now,
    authenticate: async (id) =>
      id === 'console'
        ? { role: 'console', id, grants: consoleGrants() }
        : { role: 'device', id, grants: deviceGrants(id) },
  })
  const folder = await freshFolder()
  const console = await startConsole(broker.url)
  try {
    const args = [...FLAGS, `${ROOT}test/bench/outbox-board.ts`, broker.url, folder, DEVICE]
    const numbers = [flood, DRIP.perS, DRIP.results].map(String)
    const { stdout } = await promisify(execFile)(process.execPath, [...args, ...numbers])
    const { flooded, dripped } = JSON.parse(stdout) as { flooded: OutboxFigures; dripped: OutboxFigures }
    if (console.tasks.size !== flood + DRIP.results) throw new Error(`only ${console.tasks.size} results arrived`)
    return { ...flooded, dripped }
  } finally {
    await console.link.close()
    await broker.close()
    await removeFolder(folder)
  }
}

if (import.meta.main) console.log(JSON.stringify(await measureOutbox(), null, 1))
