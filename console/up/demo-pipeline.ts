// The demo: an ordinary requester, as somebody else would write one. It sends real photographs to the pool over MQTT,
// two a second, waits for the answers, and says in its log how many came.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { connectLink, type Link } from '../../broker/link.ts'
import { AcceptedMessage, ResultMessage } from '../../broker/protocol/messages.ts'
import { filters, formatTopic, parseTopic } from '../../broker/protocol/topics.ts'

export interface PipelineOptions {
  readonly mqttUrl: string
  readonly requester: string
  readonly apiKey: string
  /** Folder of the model packages; the photographs are their golden inputs. */
  readonly models: string
  readonly log: Logger
  readonly now: () => number
  readonly newId: () => string
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
}

interface Sent {
  readonly model: string
  readonly photo: Buffer
  sentAt: number
  accepted: boolean
}

const MODELS = ['ssd-mobilenet-v1', 'mobilenet-v1']
const EVERY_MS = 500
/** A task without "accepted" for this long is sent again under the same id: it cannot run twice. */
const RESEND_MS = 5_000
const REPORT_EVERY_MS = 30_000
/** More in the air than this means that nobody answers: it waits rather than piles up. */
const MAX_WAITING = 20

export interface Counts {
  sent: number
  answered: number
  refused: number
}

/** Every JPEG among the golden inputs, each once however many packages carry it. */
export async function readPhotos(models: string): Promise<Buffer[]> {
  const photos = new Map<string, Buffer>()
  for (const model of await readdir(models, { withFileTypes: true })) {
    if (!model.isDirectory()) continue
    const golden = join(models, model.name, 'golden')
    for (const name of await readdir(golden).catch(() => []))
      if (name.endsWith('.jpg')) photos.set(name, await readFile(join(golden, name)))
  }
  return [...photos.values()]
}

const asJson = (payload: Buffer): unknown => {
  try {
    return JSON.parse(payload.toString('utf8'))
  } catch {
    return undefined
  }
}

/** Takes note of what comes back for this requester. */
function listen(link: Link, waiting: Map<string, Sent>, counts: Counts, log: Logger): void {
  link.onMessage((text, payload) => {
    const topic = parseTopic(text)
    if (topic?.kind === 'requester-ack') {
      const accepted = AcceptedMessage.safeParse(asJson(payload)).data
      const sent = accepted && waiting.get(accepted.task)
      if (sent) sent.accepted = true
      return
    }
    if (topic?.kind !== 'requester-out' || topic.task === undefined || !waiting.delete(topic.task)) return
    const answer = ResultMessage.safeParse(asJson(payload)).data
    if (answer !== undefined && 'result' in answer) counts.answered += 1
    else {
      counts.refused += 1
      log.warn({ task: topic.task, error: answer?.error }, 'a frame was refused')
    }
  })
}

/** Runs until `signal` ends it. */
export async function runPipeline(options: PipelineOptions, signal: AbortSignal): Promise<Counts> {
  const { requester, log, now, newId, sleep } = options
  const photos = await readPhotos(options.models)
  const waiting = new Map<string, Sent>()
  const counts: Counts = { sent: 0, answered: 0, refused: 0 }
  const link = connectLink({
    url: options.mqttUrl,
    clientId: `${requester}-demo`,
    username: requester,
    password: options.apiKey,
    subscriptions: filters.requesterOutput(requester),
    log,
  })
  listen(link, waiting, counts, log)

  async function send(id: string, sent: Sent): Promise<void> {
    sent.sentAt = now()
    const topic = formatTopic({ kind: 'requester-in', requester, model: sent.model, task: id })
    // A publish that fails is not an error here: without "accepted" the same id is sent again.
    await link.publish(topic, sent.photo, { qos: 1 }).catch((error: unknown) => log.debug({ err: error }, 'not sent'))
  }

  async function turn(number: number): Promise<void> {
    if (!link.connected) return
    for (const [id, sent] of waiting) if (!sent.accepted && now() - sent.sentAt > RESEND_MS) await send(id, sent)
    const photo = photos[Math.floor(number / MODELS.length) % photos.length]
    if (waiting.size >= MAX_WAITING || photo === undefined) return
    const sent: Sent = { model: MODELS[number % MODELS.length] ?? '', photo, sentAt: 0, accepted: false }
    const id = newId()
    waiting.set(id, sent)
    counts.sent += 1
    await send(id, sent)
  }

  let reportAt = now() + REPORT_EVERY_MS
  for (let number = 0; !signal.aborted; number++) {
    await turn(number)
    if (now() >= reportAt) {
      log.info({ ...counts, waiting: waiting.size }, 'demo pipeline')
      reportAt = now() + REPORT_EVERY_MS
    }
    await sleep(EVERY_MS, signal)
  }
  await link.close()
  return counts
}
