// Everything that may be configured, in one schema: flags win over the environment, and all faults are told at once.
import { join, resolve } from 'node:path'
import { z } from 'zod'

const Port = z.coerce.number('must be a port number').int().min(0, 'must be 0 (any free one) to 65535').max(65_535)
const Whole = (least: number, most: number) => z.coerce.number('must be a number').int().min(least).max(most)
const Switch = z.enum(['0', '1', 'true', 'false']).transform((text) => text === '1' || text === 'true')
const BrokerUrl = z.string().regex(/^(mqtts?|wss?):\/\/./, 'must be mqtt://, mqtts://, ws:// or wss://')
const HttpUrl = z.string().regex(/^https?:\/\/./, 'must be http:// or https://')

const Settings = z
  .object({
    data: z.string().min(1).default('./data'),
    models: z.string().min(1).optional(),
    host: z.string().min(1).default('127.0.0.1'),
    http: Port.default(8080),
    mqtt: Port.default(1883),
    /** MQTT over WebSocket, for pipelines in browsers; absent: off. */
    ws: Port.optional(),
    chain: Port.default(8899),
    /** Boards to run on this machine. */
    agents: Whole(0, 32).default(2),
    demo: Switch.default(true),
    /** An external broker; absent: the embedded one. */
    mqttUrl: BrokerUrl.optional(),
    /** The console's address as boards reach it, when it is not the one it listens on. */
    publicUrl: HttpUrl.optional(),
    cluster: z.enum(['local', 'devnet', 'mainnet-beta']).default('local'),
    rpcUrl: HttpUrl.optional(),
    treasuryKey: z.string().min(1).optional(),
    /** Pays fees and rents; absent: the treasury does. */
    feePayerKey: z.string().min(1).optional(),
    mint: z.string().min(32).max(44).optional(),
    /** What amounts of that mint are called. */
    tokenSymbol: z
      .string()
      .regex(/^[A-Za-z0-9]{1,10}$/, 'must be 1 to 10 letters and digits')
      .default('BRMB'),
    /** Where the first owner is paid. */
    wallet: z.string().min(32).max(44).optional(),
    holdS: Whole(0, 30 * 86_400).optional(),
    settleEveryS: Whole(1, 30 * 86_400).optional(),
    /** Owners with less stay payable until they have more: below it a transaction costs more than it brings. */
    minimumPayoutUnits: z.coerce.bigint('must be a whole number of base units').positive().optional(),
    /** Withheld once, from the payout that makes a wallet's token account; 0: the operator bears its rent. */
    accountFeeUnits: z.coerce.bigint('must be a whole number of base units').nonnegative().default(0n),
    /** The account that keeps a batch from being paid twice is given up so long after it is final. */
    markerDays: Whole(1, 3_650).default(30),
    /** Milliseconds of a slot, for a local chain that is made by this start; 32 of them and a transaction is final. */
    slotMs: Whole(20, 10_000).default(400),
    /** Payouts go through address lookup tables where these save more than they cost. */
    lookupTables: Switch.default(true),
    /** Smaller deposits wait until their sum reaches it. */
    minimumDepositUnits: z.coerce.bigint('must be a whole number of base units').positive().default(10_000n),
    feeBps: Whole(0, 5_000).default(500),
    royaltyBps: Whole(0, 5_000).default(500),
    frameBytes: Whole(1_024, 64 * 1024 * 1024).default(1024 * 1024),
    logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).optional(),
  })
  .superRefine((settings, context) => {
    const needs = (field: 'rpcUrl' | 'treasuryKey' | 'mint'): void => {
      if (settings.cluster !== 'local' && settings[field] === undefined)
        context.addIssue({ code: 'custom', path: [field], message: `is needed with cluster ${settings.cluster}` })
    }
    needs('rpcUrl')
    needs('treasuryKey')
    needs('mint')
  })
type Settings = z.infer<typeof Settings>

/** What each setting is called on the command line (where it is) and in the environment. */
export const SETTING_NAMES = {
  data: ['--data', 'BRAMBLE_DATA'],
  models: ['--models', 'BRAMBLE_MODELS'],
  host: ['--host', 'BRAMBLE_HOST'],
  http: ['--http', 'BRAMBLE_HTTP_PORT'],
  mqtt: ['--mqtt', 'BRAMBLE_MQTT_PORT'],
  ws: ['--ws', 'BRAMBLE_WS_PORT'],
  chain: ['--chain', 'BRAMBLE_CHAIN_PORT'],
  agents: ['--agents', 'BRAMBLE_AGENTS'],
  demo: ['--no-demo', 'BRAMBLE_DEMO'],
  mqttUrl: ['--mqtt-url', 'BRAMBLE_MQTT_URL'],
  publicUrl: ['--public-url', 'BRAMBLE_PUBLIC_URL'],
  cluster: ['--cluster', 'BRAMBLE_CLUSTER'],
  rpcUrl: ['--rpc-url', 'BRAMBLE_RPC_URL'],
  treasuryKey: ['--treasury-key', 'BRAMBLE_TREASURY_KEY'],
  feePayerKey: ['--fee-payer-key', 'BRAMBLE_FEE_PAYER_KEY'],
  mint: ['--mint', 'BRAMBLE_MINT'],
  tokenSymbol: ['--token-symbol', 'BRAMBLE_TOKEN_SYMBOL'],
  wallet: ['--wallet', 'BRAMBLE_WALLET'],
  holdS: ['--hold-s', 'BRAMBLE_HOLD_S'],
  settleEveryS: ['--settle-every-s', 'BRAMBLE_SETTLE_EVERY_S'],
  minimumPayoutUnits: ['', 'BRAMBLE_MINIMUM_PAYOUT_UNITS'],
  accountFeeUnits: ['', 'BRAMBLE_ACCOUNT_FEE_UNITS'],
  markerDays: ['', 'BRAMBLE_MARKER_DAYS'],
  slotMs: ['', 'BRAMBLE_SLOT_MS'],
  lookupTables: ['--no-lookup-tables', 'BRAMBLE_LOOKUP_TABLES'],
  minimumDepositUnits: ['', 'BRAMBLE_MINIMUM_DEPOSIT_UNITS'],
  feeBps: ['', 'BRAMBLE_FEE_BPS'],
  royaltyBps: ['', 'BRAMBLE_ROYALTY_BPS'],
  frameBytes: ['', 'BRAMBLE_FRAME_BYTES'],
  logLevel: ['--log-level', 'BRAMBLE_LOG_LEVEL'],
} as const satisfies Record<keyof Settings, readonly [string, string]>

export type Environment = Readonly<Record<string, string | undefined>>
export type Flags = Readonly<Partial<Record<keyof Settings, string>>>

/**
 * `up` settles often, so that a newcomer sees tokens within a minute, and says little beside its block; in production a
 * hold leaves time for audits.
 */
const DEFAULTS = {
  up: { holdS: 10, settleEveryS: 60, logLevel: 'warn' },
  console: { holdS: 86_400, settleEveryS: 86_400, logLevel: 'info' },
} as const
/** A local chain's fees are nobody's money; elsewhere one token of six decimals. */
const LEAST_PAYOUT = { local: 1n, devnet: 1_000_000n, 'mainnet-beta': 1_000_000n } as const
export type Command = keyof typeof DEFAULTS

export interface Config
  extends Omit<Settings, 'minimumPayoutUnits' | 'holdS' | 'settleEveryS' | 'logLevel' | 'models' | 'data'> {
  /** Absolute. */
  readonly data: string
  readonly models: string
  readonly holdS: number
  readonly settleEveryS: number
  readonly minimumPayoutUnits: bigint
  readonly logLevel: NonNullable<Settings['logLevel']>
}

export type ConfigRead = { ok: true; config: Config } | { ok: false; faults: string[] }

const isSetting = (field: unknown): field is keyof Settings => typeof field === 'string' && field in SETTING_NAMES

/** Named as the person wrote it; where nothing was written, both names. */
function faultOf(issue: z.core.$ZodIssue, given: Flags, env: Environment): string {
  const [field] = issue.path
  if (!isSetting(field)) return issue.message
  const [flag, variable] = SETTING_NAMES[field]
  if (flag !== '' && given[field] !== undefined) return `${flag} ${given[field]}: ${issue.message}`
  if (env[variable] !== undefined) return `${variable} ${env[variable]}: ${issue.message}`
  return `${flag === '' ? variable : `${flag} (or ${variable})`} ${issue.message}`
}

/** `root` is the folder of the package: the models are in it. */
export function readConfig(env: Environment, flags: Flags, command: Command, root: string): ConfigRead {
  const given: Record<string, string> = {}
  for (const [field, [, variable]] of Object.entries(SETTING_NAMES)) {
    const value = flags[field as keyof Settings] ?? env[variable]
    if (value !== undefined && value !== '') given[field] = value
  }
  const read = Settings.safeParse(given)
  if (!read.success) return { ok: false, faults: read.error.issues.map((issue) => faultOf(issue, flags, env)) }
  const settings = read.data
  return {
    ok: true,
    config: {
      ...settings,
      data: resolve(settings.data),
      models: resolve(settings.models ?? join(root, 'models')),
      holdS: settings.holdS ?? DEFAULTS[command].holdS,
      settleEveryS: settings.settleEveryS ?? DEFAULTS[command].settleEveryS,
      minimumPayoutUnits: settings.minimumPayoutUnits ?? LEAST_PAYOUT[settings.cluster],
      logLevel: settings.logLevel ?? DEFAULTS[command].logLevel,
    },
  }
}
