// `bramble broker`: the embedded broker on its own, for a site that wants it apart from the console. It checks the console's
// ES256 credentials with the console's public key; requesters' API keys are known to the console's own broker only.
import { setTimeout as wait } from 'node:timers/promises'
import { type ArgsDef, defineCommand, runMain } from 'citty'
import { pino } from 'pino'
import { z } from 'zod'
import { BrokerError, startBroker } from './embedded.ts'
import { createVerifier, keysOfConsole } from './jwt.ts'
import { DEFAULT_ROOT } from './protocol/topics.ts'
import { surplusOf } from './surplus.ts'

const Port = z.coerce.number('must be a port number').int().min(0).max(65_535, 'must be a port number')

const Settings = z.object({
  port: Port,
  ws: Port.optional(),
  host: z.string().min(1),
  console: z.url({ protocol: /^https?$/, error: 'must be the http:// or https:// address of the console' }),
  root: z.string().regex(/^[A-Za-z0-9_/-]+$/, 'must be MQTT topic levels'),
})

const CLOSE_LIMIT_MS = 5_000
const BAD_START = 2

function fail(message: string): void {
  console.error(message)
  process.exitCode = BAD_START
}

async function serve(settings: z.infer<typeof Settings>): Promise<void> {
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime })
  const verify = createVerifier({ keys: keysOfConsole(settings.console), now: Date.now })
  const broker = await startBroker({
    host: settings.host,
    port: settings.port,
    ...(settings.ws !== undefined && { wsPort: settings.ws }),
    root: settings.root,
    authenticate: (username, password) => verify(username, password.toString('utf8')),
    log,
    now: Date.now,
  })
  log.info({ url: broker.url, wsUrl: broker.wsUrl, console: settings.console }, 'the broker is open')
  let stopping = false
  const stop = async (): Promise<void> => {
    if (stopping) return
    stopping = true
    await Promise.race([broker.close(), wait(CLOSE_LIMIT_MS)])
    log.info(broker.stats(), 'the broker is closed')
    process.exit(0)
  }
  // `on`, not `once`: a terminal and a launcher may both pass the same signal on.
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}

const brokerArgs = {
  console: {
    type: 'string',
    required: true,
    description: "The console's address, whose public key signs credentials",
  },
  host: { type: 'string', default: '127.0.0.1', description: 'Address to listen on' },
  port: { type: 'string', default: '1883', description: 'Port for MQTT over TCP, 0 for any free one' },
  ws: { type: 'string', description: 'Port for MQTT over WebSocket (off when absent)' },
  root: { type: 'string', default: DEFAULT_ROOT, description: 'First levels of every topic' },
} satisfies ArgsDef

export const brokerCommand = defineCommand({
  meta: { name: 'broker', description: 'Run the MQTT broker on its own.' },
  args: brokerArgs,
  async run({ args }) {
    const surplus = surplusOf(args, brokerArgs)
    if (surplus.length > 0) return fail(surplus.join('\n'))
    const settings = Settings.safeParse(args)
    if (!settings.success)
      return fail(settings.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('\n'))
    try {
      await serve(settings.data)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      fail(error.message)
    }
  },
})

if (import.meta.main) await runMain(brokerCommand)
