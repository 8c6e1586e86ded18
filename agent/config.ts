// The agent's settings: flags first, then the environment, then defaults; every fault is named at once.
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { DEFAULT_ROOT, isTopicLevel } from '../broker/protocol/topics.ts'
import { PROVIDERS } from '../models/runtime/providers.ts'

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(faults.join('\n'))
    this.faults = faults
  }
}

const url = (protocols: readonly string[]) =>
  z
    .string()
    .refine(
      (text) => protocols.includes(URL.parse(text)?.protocol ?? ''),
      `must begin with ${protocols.map((p) => `${p}//`).join(' or ')}`,
    )

const whole = (from: number, to: number, unit: string) =>
  z.coerce
    .number(`must be a number of ${unit}`)
    .int()
    .min(from, `must be at least ${from} ${unit}`)
    .max(to, `must be at most ${to} ${unit}`)

/** Separated by commas. */
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
)

export const Config = z.object({
  data: z.string().min(1).default(join(homedir(), '.bramble-agent')),
  models: z
    .string()
    .min(1)
    .default(fileURLToPath(new URL('../models', import.meta.url))),
  /** Only these of them, by id; all when absent. */
  serve: list.optional(),
  /** Overrides the address in the credential; required without enrolment. */
  mqttUrl: url(['mqtt:', 'mqtts:', 'ws:', 'wss:']).optional(),
  /** Plain mode: this id on any broker, without a console. */
  device: z.string().refine(isTopicLevel, 'must match [A-Za-z0-9_-]{1,64}').optional(),
  username: z.string().min(1).optional(),
  passwordFile: z.string().min(1).optional(),
  root: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}(\/[A-Za-z0-9_-]{1,64}){0,2}$/, 'must be one to three topic levels')
    .default(DEFAULT_ROOT),
  mqttVersion: z
    .enum(['auto', '4', '5'], 'must be auto, 4 (which is 3.1.1) or 5')
    .default('auto')
    .transform((text) => (text === 'auto' ? text : text === '5' ? 5 : 4)),
  homeAssistant: z.union([z.boolean(), z.stringbool('must be true or false')]).default(false),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  payloadKiB: whole(1, 64 * 1024, 'KiB').default(1024),
  outboxMiB: whole(1, 1024 * 1024, 'MiB').default(256),
  /** Frames that may wait per model. */
  queueFrames: whole(1, 100_000, 'frames').default(64),
  queueMiB: whole(1, 64 * 1024, 'MiB').default(16),
  /** Disk for model packages that the console sends. */
  cacheMiB: whole(1, 1024 * 1024, 'MiB').default(1024),
  /** Publishers whose models may run here, `id:key`; those that the console names where neither is given. */
  publisherKeys: z.string().min(1).optional(),
  trustPublisher: list.optional(),
  /** Publishers whose versions of the agent itself may run here, `id:key`, besides those that the Debian package names. */
  trustSoftware: list.optional(),
  /** How long a new version of the agent is watched. The launcher reads it too, from the environment. */
  trialS: whole(1, 86_400, 'seconds').default(600),
  /** Both absent: what `bench` chose for this board, or a default. */
  threads: whole(1, 256, 'threads').optional(),
  hosts: whole(1, 64, 'processes').optional(),
  /** In order of preference; absent or `auto`: the best that is installed. */
  providers: list
    .pipe(
      z.union(
        [z.tuple([z.literal('auto')]).transform(() => undefined), z.array(z.enum(PROVIDERS)).min(1)],
        `must be auto, or some of ${PROVIDERS.join(', ')}`,
      ),
    )
    .optional(),
  gpu: whole(0, 255, 'as a number').optional(),
  /** Resident memory of one inference process above which it is replaced. */
  hostMiB: whole(64, 1024 * 1024, 'MiB').optional(),
  /** For all loaded models together. */
  modelsMiB: whole(8, 1024 * 1024, 'MiB').optional(),
  runLimitMs: whole(100, 3_600_000, 'ms').default(10_000),
})
export type Config = z.infer<typeof Config>

type Flags = Readonly<Record<string, unknown>>

const FLAG: Readonly<Record<keyof Config, string>> = {
  data: 'data',
  models: 'models',
  serve: 'serve',
  mqttUrl: 'mqtt-url',
  device: 'device',
  username: 'username',
  passwordFile: 'password-file',
  root: 'root',
  mqttVersion: 'mqtt-version',
  homeAssistant: 'home-assistant',
  logLevel: 'log-level',
  payloadKiB: 'payload-kib',
  outboxMiB: 'outbox-mib',
  queueFrames: 'queue-frames',
  queueMiB: 'queue-mib',
  cacheMiB: 'cache-mib',
  publisherKeys: 'publisher-keys',
  trustPublisher: 'trust-publisher',
  trustSoftware: 'trust-software',
  trialS: 'trial-s',
  threads: 'threads',
  hosts: 'hosts',
  providers: 'providers',
  gpu: 'gpu',
  hostMiB: 'host-mib',
  modelsMiB: 'models-mib',
  runLimitMs: 'run-limit-ms',
}

const variableOf = (flag: string): string => `BRAMBLE_${flag.toUpperCase().replaceAll('-', '_')}`

/** Throws ConfigError with one line per fault, each naming where the value came from. */
export function readConfig(env: Readonly<Record<string, string | undefined>>, flags: Flags): Config {
  const values: Record<string, unknown> = {}
  const source: Record<string, string> = {}
  for (const [key, flag] of Object.entries(FLAG)) {
    const variable = variableOf(flag)
    // An empty variable is an unset one, as in a systemd EnvironmentFile with `NAME=`.
    const value = flags[flag] ?? (env[variable] || undefined)
    source[key] = flags[flag] === undefined ? variable : `--${flag}`
    if (value !== undefined) values[key] = value
  }
  const parsed = Config.safeParse(values)
  const faults = parsed.success
    ? contradictions(parsed.data)
    : parsed.error.issues.map(({ path, message }) => `${source[String(path[0])]}: ${message}`)
  if (parsed.success && faults.length === 0) return parsed.data
  throw new ConfigError(faults)
}

function contradictions({ device, mqttUrl, username, passwordFile }: Config): string[] {
  const faults: string[] = []
  if (device !== undefined && mqttUrl === undefined)
    faults.push('--device: needs --mqtt-url, the broker to use without a console')
  if (device === undefined && username !== undefined)
    faults.push('--username: only with --device; an enrolled board uses its device id')
  if (device === undefined && passwordFile !== undefined)
    faults.push('--password-file: only with --device; an enrolled board uses its credential')
  return faults
}

/** TensorRT builds an engine for each model while it is loaded, which takes minutes: not a limit, but an end to one that hangs. */
const ENGINE_LIMIT_MS = 3_600_000

/** What the inference host takes from the settings, the use of the cores apart. */
export const hostSettings = ({ providers, gpu, hostMiB, modelsMiB, runLimitMs }: Config) => ({
  limitMs: runLimitMs,
  ...(providers && { providers }),
  ...(providers?.includes('tensorrt') && { loadLimitMs: ENGINE_LIMIT_MS }),
  ...(gpu !== undefined && { gpu }),
  ...(hostMiB !== undefined && { ceilingMiB: hostMiB }),
  ...(modelsMiB !== undefined && { budgetMiB: modelsMiB }),
})
