// The process of the demo pipeline: `bramble up` starts it; it ends with SIGTERM.
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { sleepFor } from '../../loops.ts'
import { runPipeline } from '../demo-pipeline.ts'

const { values } = parseArgs({
  options: {
    'mqtt-url': { type: 'string', default: 'mqtt://127.0.0.1:1883' },
    requester: { type: 'string', default: 'demo' },
    'key-file': { type: 'string', default: 'data/keys/demo-requester.key' },
    models: { type: 'string', default: 'models' },
  },
})

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())

const log = pino({ base: null })
const boot = Date.now().toString(36)
let sent = 0
const counts = await runPipeline(
  {
    mqttUrl: values['mqtt-url'],
    requester: values.requester,
    apiKey: (await readFile(values['key-file'], 'utf8')).trim(),
    models: values.models,
    log,
    now: Date.now,
    newId: () => `demo-${boot}-${++sent}`,
    sleep: sleepFor,
  },
  stopping.signal,
)
log.info(counts, 'demo pipeline stopped')
