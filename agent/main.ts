// The agent's command line: enroll, run, infer. Each command loads only what it needs: a board has little memory.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ArgsDef, defineCommand, runMain } from 'citty'
import { endWithReader } from '../broker/launch.js'
import { type Config, ConfigError, readConfig } from './config.ts'
import { becomeLean } from './lean.ts'
import { openDataFolder } from './private-file.ts'
import { excuseStart } from './software/starts.ts'

const BAD_START = 2
/** EX_TEMPFAIL of sysexits.h: what was out of reach may be in reach later. Installers and the first boot try again on it. */
const TRY_AGAIN = 75
/** `bad-answer`: somebody else answered in the console's place. */
const MAY_PASS: ReadonlySet<unknown> = new Set(['unreachable', 'bad-answer'])
/** Only when something hangs: whoever stops a board does not wait longer. */
const FORCED_EXIT_MS = 5_000

/** Errors that explain themselves: their message is for the person, their stack is not. */
const EXPLAINED: ReadonlySet<string> = new Set([
  'BenchError',
  'BufferError',
  'CatalogError',
  'ConfigError',
  'CredentialError',
  'EnrolError',
  'HostError',
  'IdentityError',
  'InferError',
  'LinkError',
  'MembershipError',
  'PrivateFileError',
  'ServingError',
  'TrustError',
])

const common = {
  data: { type: 'string', description: 'Folder for key, credential and outbox (~/.bramble-agent)' },
  'log-level': { type: 'string', description: 'trace, debug, info, warn, error or silent (info)' },
} satisfies ArgsDef

const running = {
  models: { type: 'string', description: 'Folder of model packages' },
  threads: { type: 'string', description: 'Threads of the first inference process (as `bench` chose)' },
  hosts: { type: 'string', description: 'Inference processes side by side (as `bench` chose)' },
  providers: { type: 'string', description: 'auto, or tensorrt, cuda, cpu in order of preference (auto)' },
  gpu: { type: 'string', description: 'Number of the GPU, with cuda or tensorrt (0)' },
  'host-mib': { type: 'string', description: 'Memory of an inference process above which it is replaced (half)' },
  'models-mib': { type: 'string', description: 'Memory for loaded models; the least used make way (half of the rest)' },
  'run-limit-ms': { type: 'string', description: 'A run longer than this is killed (10000)' },
} satisfies ArgsDef

const known = (args: Readonly<Record<string, unknown>>, defs: ArgsDef): Config => {
  const names = new Set(Object.keys(defs).flatMap((name) => [name, camel(name)]))
  const unknown = Object.keys(args).filter((name) => name !== '_' && !names.has(name))
  if (unknown.length > 0) throw new ConfigError(unknown.map((name) => `--${name}: there is no such option`))
  return readConfig(process.env, args)
}

const camel = (name: string): string => name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())

/** `excuse`: what is to be done about an ending that explains itself. */
async function explained(work: () => Promise<void>, excuse = (): void => {}): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Error) || !EXPLAINED.has(error.name)) throw error
    console.error(error.message)
    excuse()
    // Not exitCode: a link or an inference process may be open already and would keep this one alive.
    process.exit('code' in error && MAY_PASS.has(error.code) ? TRY_AGAIN : BAD_START)
  }
}

const enrollArgs = {
  ...common,
  console: { type: 'string', required: true, description: 'http(s) address of the console' },
  token: { type: 'string', description: 'Enrolment token from the console (else the variable BRAMBLE_TOKEN)' },
  name: { type: 'string', description: 'What the board is called in the fleet (three words of the console)' },
} satisfies ArgsDef

const enroll = defineCommand({
  meta: { name: 'enroll', description: 'Make this board a member of a fleet.' },
  args: enrollArgs,
  run: ({ args }) =>
    explained(async () => {
      const config = known(args, enrollArgs)
      // Not among the arguments where it matters: those of a process can be read by every user of the board.
      const token = args.token ?? process.env['BRAMBLE_TOKEN']
      if (!token) throw new ConfigError(['--token: is missing; the console shows one, and BRAMBLE_TOKEN may hold it'])
      const [{ openIdentity }, { createConsole }, { writeCredential }] = await Promise.all([
        import('./membership/identity.ts'),
        import('./membership/enroll.ts'),
        import('./membership/credential.ts'),
      ])
      openDataFolder(config.data)
      const identity = openIdentity(config.data)
      const credential = await createConsole({ url: args.console, identity, now: Date.now }).enrol(token, args.name)
      writeCredential(config.data, credential)
      // As the package's command has it for root: the folder of the service, which waits for this very file.
      const isService = process.env['HOME'] === config.data
      const next = isService ? 'the service starts by itself' : `start it with: bramble-agent run --data ${config.data}`
      console.log(`enrolled as ${credential.name} (${credential.device}); ${next}`)
    }),
})

const runArgs = {
  ...common,
  ...running,
  serve: { type: 'string', description: 'Only these models, ids separated by commas (all)' },
  'mqtt-url': { type: 'string', description: "Broker, instead of the credential's" },
  device: { type: 'string', description: 'Work under this id without a console (with --mqtt-url)' },
  username: { type: 'string', description: 'With --device: MQTT user (the device id)' },
  'password-file': { type: 'string', description: 'With --device: file with the MQTT password' },
  'mqtt-version': { type: 'string', description: 'auto, 4 (3.1.1) or 5 (auto: 5 where the broker speaks it)' },
  'home-assistant': { type: 'boolean', description: 'Announce this board to Home Assistant (no)' },
  root: { type: 'string', description: 'With --device: first levels of every topic (bramble/1)' },
  'payload-kib': { type: 'string', description: 'Largest frame that is taken (1024)' },
  'outbox-mib': { type: 'string', description: 'Disk for answers not yet acknowledged (256)' },
  'queue-frames': { type: 'string', description: 'Frames that may wait per model (64)' },
  'queue-mib': { type: 'string', description: 'Memory for frames that wait, per model (16)' },
  'cache-mib': { type: 'string', description: 'Disk for models that the console sends (1024)' },
  'publisher-keys': { type: 'string', description: 'File of ID:KEY lines: only models signed by these run here' },
  'trust-publisher': { type: 'string', description: 'The same, ID:KEY separated by commas' },
  'trust-software': { type: 'string', description: 'ID:KEY of who may update this agent, separated by commas' },
  'trial-s': { type: 'string', description: 'Seconds that an update is watched, else it goes back (600)' },
} satisfies ArgsDef

const run = defineCommand({
  meta: { name: 'run', description: 'Answer frames until stopped.' },
  args: runArgs,
  run: ({ args }) =>
    explained(
      async () => {
        const config = known(args, runArgs)
        const load = () => Promise.all([import('./logger.ts'), import('./run.ts'), import('./hosting.ts')])
        openDataFolder(config.data)
        await becomeLean(process.env, config.data, load)
        const [{ openLog }, { startAgent }, { openHost }] = await load()
        const { log, ring, flush } = openLog(config.logLevel)
        process.once('exit', flush)
        const stopped = Promise.withResolvers<NodeJS.Signals>()
        // A signal before the board has a connection ends it as it is: it has taken nothing in.
        let onSignal: (signal: NodeJS.Signals) => void = () => process.exit(0)
        // A terminal and the launcher may both send one: the second must not cut the last answers off.
        for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => onSignal(signal))
        const { env, pid } = process
        const agent = await startAgent(config, log, versionOf(), { env, pid, logLines: ring.lines, openHost })
        onSignal = stopped.resolve
        const replaced = agent.replaced.then(() => 'replaced' as const)
        // Settles without a reason to stop: only its failure counts.
        const failed = agent.running.then(() => Promise.race([stopped.promise, replaced]))
        const reason = await Promise.race([stopped.promise, replaced, failed])
        log.info({ reason }, 'stopping')
        setTimeout(() => process.exit(1), FORCED_EXIT_MS)
        await agent.close()
        if (reason === 'replaced') startAgain()
        process.exit(0)
      },
      () => excuseStart(process.env),
    ),
})

/** By hand there is no service manager that would start the new version. */
function startAgain(): void {
  const { BRAMBLE_PACKAGED, NOTIFY_SOCKET } = process.env
  if (BRAMBLE_PACKAGED === undefined || NOTIFY_SOCKET !== undefined) return
  const launcher = join(BRAMBLE_PACKAGED, 'launch')
  process.execve?.(launcher, [launcher, ...process.argv.slice(2)], process.env)
}

const inferArgs = {
  ...common,
  ...running,
  file: { type: 'positional', required: true, description: 'An image, a WAV, a JSON or a tensor file' },
  model: { type: 'string', required: true, description: 'Model id, or id@version' },
  json: { type: 'boolean', description: 'Print one JSON object' },
} satisfies ArgsDef

const infer = defineCommand({
  meta: { name: 'infer', description: 'Run one file through one model, here and now.' },
  args: inferArgs,
  run: ({ args }) =>
    explained(async () => {
      const config = known(args, inferArgs)
      const [{ openLog }, { inferFile, describe }] = await Promise.all([import('./logger.ts'), import('./infer.ts')])
      const { log } = openLog(args['log-level'] === undefined ? 'silent' : config.logLevel)
      const inference = await inferFile(config, args.file, args.model, log, performance.now.bind(performance))
      console.log(args.json ? JSON.stringify(inference) : describe(inference))
    }),
})

const benchArgs = {
  ...common,
  models: running.models,
  serve: { type: 'string', description: 'Only these models, ids separated by commas (all)' },
  providers: running.providers,
  gpu: running.gpu,
  seconds: { type: 'string', default: '3', description: 'Seconds per model and way' },
  json: { type: 'boolean', description: 'Print one JSON object' },
} satisfies ArgsDef

const bench = defineCommand({
  meta: { name: 'bench', description: 'Find out how this board is fastest, and keep it for run.' },
  args: benchArgs,
  run: ({ args }) =>
    explained(async () => {
      const { seconds: text, json, ...rest } = args
      const seconds = Number(text)
      if (!(seconds > 0 && seconds <= 600)) throw new ConfigError(['--seconds: must be a number from 0 to 600'])
      const config = known(rest, benchArgs)
      const [{ openLog }, { runBench }, { describeBench }] = await Promise.all([
        import('./logger.ts'),
        import('./bench.ts'),
        import('./bench/telling.ts'),
      ])
      openDataFolder(config.data)
      const { log } = openLog(args['log-level'] === undefined ? 'silent' : config.logLevel)
      const elapsed = performance.now.bind(performance)
      const progress = (line: string): void => void process.stderr.write(`${line}\n`)
      const report = await runBench({ config, log, seconds, now: Date.now, elapsed, progress })
      console.log(json ? JSON.stringify(report) : describeBench(report))
    }),
})

const doctorArgs = {
  ...common,
  ...running,
  serve: { type: 'string', description: 'Only these models, ids separated by commas (all)' },
  'mqtt-url': { type: 'string', description: "Broker, instead of the credential's" },
  device: { type: 'string', description: 'Examine the way without a console (with --mqtt-url)' },
  username: { type: 'string', description: 'With --device: MQTT user (the device id)' },
  'password-file': { type: 'string', description: 'With --device: file with the MQTT password' },
  json: { type: 'boolean', description: 'Print one JSON object' },
} satisfies ArgsDef

const doctor = defineCommand({
  meta: {
    name: 'doctor',
    description:
      'Say what is well here and what is not. Exit code 0: nothing failed; 1: something did; 2: it could not look.',
  },
  args: doctorArgs,
  run: ({ args }) =>
    explained(async () => {
      const config = known(args, doctorArgs)
      const [{ openLog }, { runDoctor }] = await Promise.all([import('./logger.ts'), import('./doctor.ts')])
      const { log } = openLog(args['log-level'] === undefined ? 'silent' : config.logLevel)
      const colours = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
      const failed = await runDoctor({ config, version: versionOf(), log, json: args.json === true, colours })
      // Not exitCode: a connection that hangs would keep a page waiting that is printed.
      process.exit(failed ? 1 : 0)
    }),
})

const receiptsArgs = {
  ...common,
  proof: { type: 'string', description: 'Print the proof of this receipt, for: bramble rewards verify FILE' },
} satisfies ArgsDef

const receipts = defineCommand({
  meta: { name: 'receipts', description: 'What the console says this board has earned.' },
  args: receiptsArgs,
  run: ({ args }) =>
    explained(async () => {
      const config = known(args, receiptsArgs)
      const [{ openIdentity }, { readCredential, CredentialError }, { receiptLines, receiptProof }] = await Promise.all(
        [import('./membership/identity.ts'), import('./membership/credential.ts'), import('./membership/receipts.ts')],
      )
      const credential = readCredential(config.data, openIdentity(config.data).device)
      if (!credential) throw new CredentialError('damaged', 'this board is not enrolled: bramble-agent enroll')
      console.log(
        args.proof === undefined ? await receiptLines(credential) : await receiptProof(credential, args.proof),
      )
    }),
})

const versionOf = (): string => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return String(version)
}

endWithReader()

await runMain(
  defineCommand({
    meta: {
      name: 'bramble-agent',
      version: versionOf(),
      description: 'Answers frames over MQTT with quantized ONNX models.',
    },
    subCommands: { enroll, run, infer, bench, doctor, receipts },
  }),
)
