// `bramble`: up, console, broker, models, ledger check. Here, and only here, arguments and environment are read, signals
// handled, and the process ended.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type ArgsDef, defineCommand, runMain } from 'citty'
import { pino } from 'pino'
import { endWithReader } from '../broker/launch.js'
import { surplusOf } from '../broker/surplus.ts'
import { type Command, type Config, type Flags, readConfig } from './config.ts'

const BAD_START = 2
/** `up` stops within 5 s, and whatever hangs must not keep it. */
const FORCED_EXIT_MS = 4_800
const packageRoot = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

/** Errors that explain themselves: their message is for the person, their stack is not. */
const EXPLAINED: ReadonlySet<string> = new Set([
  'AgentFault',
  'BrokerError',
  'CatalogError',
  'ChainError',
  'HttpError',
  'LinkError',
  'LockError',
  'RegistryError',
  'SecretError',
  'StoreError',
  'WalletError',
])

const common = {
  data: { type: 'string', description: 'Folder of everything that is kept (./data)' },
  models: { type: 'string', description: 'Folder of model packages' },
  host: { type: 'string', description: 'Address to listen on (127.0.0.1)' },
  http: { type: 'string', description: 'Port of the console, 0 for any free one (8080)' },
  mqtt: { type: 'string', description: 'Port of the embedded broker (1883)' },
  ws: { type: 'string', description: 'Port for MQTT over WebSocket (off)' },
  chain: { type: 'string', description: 'Port of the local chain (8899)' },
  'mqtt-url': { type: 'string', description: 'Another broker instead of the embedded one' },
  'public-url': { type: 'string', description: "The console's address as boards reach it" },
  wallet: { type: 'string', description: "Solana address that the first owner's earnings are paid to" },
  'hold-s': { type: 'string', description: 'Seconds that earnings stay on hold' },
  'settle-every-s': { type: 'string', description: 'Seconds between settlements' },
  'log-level': { type: 'string', description: 'trace, debug, info, warn, error or silent' },
} satisfies ArgsDef

const demo = {
  agents: { type: 'string', description: 'Boards to run on this machine (2)' },
  demo: { type: 'boolean', default: true, negativeDescription: 'No pipeline that sends photographs' },
} satisfies ArgsDef

const chain = {
  cluster: { type: 'string', description: 'local, devnet or mainnet-beta (local)' },
  'rpc-url': { type: 'string', description: 'Solana RPC of that cluster' },
  'treasury-key': { type: 'string', description: 'Solana CLI key file of the treasury' },
  'fee-payer-key': { type: 'string', description: 'Solana CLI key file that pays fees and rents (the treasury)' },
  mint: { type: 'string', description: 'Mint address of the token that is paid' },
  'token-symbol': { type: 'string', description: 'What amounts of it are called (BRMB)' },
  'lookup-tables': { type: 'boolean', default: true, negativeDescription: 'Payouts without address lookup tables' },
} satisfies ArgsDef

const camel = (name: string): string => name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())

const fail = (message: string): void => {
  console.error(message)
  process.exitCode = BAD_START
}

/** The configuration, or undefined after all its faults were told. */
function configOf(args: Parameters<typeof surplusOf>[0], defs: ArgsDef, command: Command): Config | undefined {
  const flags: Record<string, string> = {}
  for (const [name, value] of Object.entries(args)) if (name in defs) flags[camel(name)] = String(value)
  // On by default, so only its absence says anything; the environment may still say it.
  for (const name of ['demo', 'lookupTables']) if (flags[name] === 'true') delete flags[name]
  const read = readConfig(process.env, flags as Flags, command, packageRoot)
  const faults = [...surplusOf(args, defs), ...(read.ok ? [] : read.faults)]
  if (read.ok && faults.length === 0) return read.config
  fail(faults.join('\n'))
  return undefined
}

const versionOf = (): string =>
  String(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version)

/** Tells an error that explains itself in one line; any other is a bug and ends the process with its stack. */
async function explained(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Error) || !EXPLAINED.has(error.name)) throw error
    fail(error.message)
  }
}

/** Runs until a signal, then closes everything in reverse; a start that fails closes what it had opened. */
async function run(config: Config, start: Starter): Promise<void> {
  const log = pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination(2),
  )
  const { createClosers } = await import('./closers.ts')
  const stack = createClosers()
  const stop = new AbortController()
  const signalled = Promise.withResolvers<void>()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      stop.abort()
      signalled.resolve()
    })
  stop.signal.addEventListener('abort', () => setTimeout(() => process.exit(1), FORCED_EXIT_MS).unref())
  const { sleepFor } = await import('./loops.ts')
  const surroundings = { log, now: Date.now, sleep: sleepFor, randomBytes, packageRoot, version: versionOf(), stack }
  await explained(async () => {
    try {
      console.log(await (await start())(config, { ...surroundings, stopping: stop.signal }))
      await signalled.promise
    } finally {
      stop.abort()
      await stack.close()
    }
  })
  process.exit()
}
type Starter = () => Promise<
  (config: Config, surroundings: import('./start/surroundings.ts').Surroundings) => Promise<string>
>

const upArgs = { ...common, ...demo } satisfies ArgsDef
const upCommand = defineCommand({
  meta: { name: 'up', description: 'Everything on this machine: console, broker, local chain, boards, demo.' },
  args: upArgs,
  async run({ args }) {
    const config = configOf(args, upArgs, 'up')
    if (config) await run(config, async () => (await import('./up/up.ts')).up)
  },
})

const consoleArgs = { ...common, ...chain } satisfies ArgsDef
const consoleCommand = defineCommand({
  meta: { name: 'console', description: 'The control plane of a fleet.' },
  args: consoleArgs,
  async run({ args }) {
    const config = configOf(args, consoleArgs, 'console')
    if (config) await run(config, async () => (await import('./up/console-only.ts')).consoleOnly)
  },
})

const checkArgs = { data: common.data } satisfies ArgsDef
const checkCommand = defineCommand({
  meta: { name: 'check', description: 'Prove from the database that the money adds up.' },
  args: checkArgs,
  async run({ args }) {
    const config = configOf(args, checkArgs, 'console')
    if (config === undefined) return
    await explained(async () => {
      const { checkData } = await import('./up/check-data.ts')
      const { ok, text } = await checkData(config.data)
      console.log(text)
      process.exitCode = ok ? 0 : 1
    })
  },
})

endWithReader()

await runMain(
  defineCommand({
    meta: { name: 'bramble', version: versionOf(), description: 'Edge inference that pays.' },
    subCommands: {
      up: upCommand,
      console: consoleCommand,
      broker: async () => (await import('../broker/main.ts')).brokerCommand,
      chain: async () => (await import('./up/chain-command.ts')).chainCommand,
      models: async () => (await import('./up/models-command.ts')).modelsCommand,
      software: async () => (await import('./up/software-command.ts')).softwareCommand,
      owners: async () => (await import('./up/owners-command.ts')).ownersCommand,
      requesters: async () => (await import('./up/requesters-command.ts')).requestersCommand,
      rewards: async () => (await import('./up/rewards-command.ts')).rewardsCommand,
      ledger: defineCommand({
        meta: { name: 'ledger', description: 'The money.' },
        subCommands: { check: checkCommand },
      }),
    },
  }),
)
