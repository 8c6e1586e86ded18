// The working parts of an agent together over a real buffer, with a host that ends its runs when told and a clock that moves
// when told.
import { pino } from 'pino'
import { type CoreOptions, createCore } from '../../agent/core.ts'
import type { MessageMeta } from '../../broker/link/terms.ts'
import { ResultMessage } from '../../broker/protocol/messages.ts'
import { formatTopic, parseTopic } from '../../broker/protocol/topics.ts'
import { type Catalog, type ModelPackage, readCatalog } from '../../models/catalog.ts'
import type { RunOutcome } from '../../models/runtime/host.ts'
import { type createRig, DEVICE, RUNTIME } from './buffer-rig.ts'
import { createFakeClock } from './fake-clock.ts'

export const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3, 4])
export const MODEL = 'mobilenet-v1'
export const GOOD = {
  ok: true,
  prediction: { kind: 'classification', labels: [] },
  digest: 'a'.repeat(64),
  ms: { decode: 1, infer: 2 },
} as const satisfies RunOutcome
export const BAD: RunOutcome = { ok: false, error: { code: 'bad-frame', message: 'not a picture' } }
export const KILLED: RunOutcome = { ok: false, error: { code: 'timeout', message: 'over 10 s' }, killed: true }

let catalog: Catalog | undefined
export async function readModels(): Promise<void> {
  catalog ??= await readCatalog(new URL('../../models', import.meta.url).pathname)
}

export const packageOf = (id: string): ModelPackage | undefined => catalog?.resolve(id)

interface More extends Partial<Pick<CoreOptions, 'limits' | 'energy' | 'origin' | 'skewMs' | 'log'>> {
  readonly fake?: ReturnType<typeof createFakeClock>
  /** From publishing until the PUBACK. */
  readonly wayMs?: number
}

export function startCore(rig: ReturnType<typeof createRig>, more: More = {}) {
  const { fake = createFakeClock(), wayMs = 0, ...options } = more
  const { clock, advance } = fake
  const buffer = rig.open()
  const published: { topic: string; message: ResultMessage }[] = []
  const runs: { frame: Uint8Array; resolve: (outcome: RunOutcome) => void }[] = []
  const ran: Uint8Array[] = []
  let slowMs = 0
  let ids = 0
  const core = createCore({
    device: DEVICE,
    root: 'bramble/1',
    receipts: true,
    limits: { framesPerModel: 4, bytesPerModel: 1_000, payloadBytes: 200 },
    buffer,
    host: {
      run(_model, { data }) {
        ran.push(data)
        return new Promise((resolve) => runs.push({ frame: data, resolve }))
      },
    },
    slow: () => slowMs,
    serving: { find: packageOf, names: () => [MODEL], fault: () => undefined },
    origin: () => buffer.origin('boot', RUNTIME),
    publish: async (topic, payload) => {
      if (parseTopic(topic)?.kind === 'device-out')
        published.push({ topic, message: ResultMessage.parse(JSON.parse(payload)) })
      if (wayMs > 0) await new Promise<void>((resolve) => clock.after(wayMs, resolve))
    },
    clock,
    newId: () => {
      ids += 1
      return `made-${ids}`
    },
    log: pino({ level: 'silent' }),
    ...options,
  })
  core.outbox.connected()
  core.work.start()
  const errors = () => published.flatMap(({ message }) => ('error' in message ? [message.error] : []))
  return {
    core,
    buffer,
    clock,
    fake,
    advance,
    published,
    errors,
    answersTo: (id: string) => published.map(({ message }) => message).filter((message) => message.id === id),
    /** The frames handed to the host, in order. */
    ran,
    running: () => runs.length,
    end: (outcome: RunOutcome = GOOD) => runs.shift()?.resolve(outcome),
    /** Ends what runs, and lets what follows from it happen. */
    async turn(outcome: RunOutcome = GOOD, ms = 10) {
      runs.shift()?.resolve(outcome)
      await advance(ms)
    },
    slow(ms: number) {
      slowMs = ms
    },
    receive(
      task: string | undefined,
      payload: Uint8Array,
      how: { model?: string; retain?: boolean; meta?: MessageMeta } = {},
    ) {
      const { model = MODEL, retain = false, meta } = how
      const topic = formatTopic({ kind: 'device-in', device: DEVICE, model, ...(task !== undefined && { task }) })
      core.intake.receive(topic, payload, retain, meta)
    },
    /** in − (answered + refused + dropped + waiting or running): 0 at every moment. */
    unaccounted() {
      const { in: arrived, answered, refused, dropped } = core.tally.counts()
      return arrived - answered - refused - dropped - core.work.load()
    },
  }
}
