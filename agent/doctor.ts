// `bramble-agent doctor`: one page that says what is well on this board, what is not, and what to do about it. It changes nothing
// and disturbs no agent that is running.
import type { Logger } from 'pino'
import { systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { checkBoard } from './doctor/board-checks.ts'
import type { Check } from './doctor/check.ts'
import {
  checkCredential,
  checkFolder,
  checkOutbox,
  type Membership,
  readMembership,
  runningAgent,
} from './doctor/folder-checks.ts'
import { checkModels, readModels } from './doctor/model-checks.ts'
import { type BrokerAccess, type Clocks, checkBroker, checkClock, checkConsole } from './doctor/network-checks.ts'
import { lineOf, verdictOf } from './doctor/page.ts'
import { checkPoison } from './doctor/poison-check.ts'
import { checkWanted } from './doctor/wanted-check.ts'
import { plainMembership } from './membership.ts'
import { createEnergy } from './presence/energy.ts'
import { wattsPerCpuOf } from './presence/profiles.ts'
import { openTree, type Tree } from './presence/sysfs.ts'
import { type Board, processorName, readBoard, readVitals } from './presence/vitals.ts'

export interface DoctorReport {
  readonly at: string
  readonly version: string
  readonly board: Board
  readonly device?: string
  readonly name?: string
  readonly verdict: 'ok' | 'warn' | 'fail'
  readonly checks: readonly Check[]
}

interface Options {
  readonly config: Config
  readonly version: string
  readonly tree: Tree
  readonly clocks: Clocks
  readonly log: Logger
  /** Who is examined, once that is known; then each finding. */
  readonly begin: (title: string) => void
  readonly tell: (check: Check) => void
}

export async function examineBoard(options: Options): Promise<DoctorReport> {
  const { config, version, tree, clocks, log } = options
  const checks: Check[] = []
  const tell = (check: Check): void => {
    checks.push(check)
    options.tell(check)
  }
  const board = await readBoard(tree)
  const found = readMembership(config)
  const member: Membership = 'state' in found ? {} : found
  const device = config.device ?? member.credential?.device
  const name = member.credential?.name
  const who = device === undefined ? 'not enrolled' : name === undefined ? device : `${name} (${device})`
  options.begin(`${who} · ${board.model} · bramble-agent ${version}`)

  const running = runningAgent(config)
  tell(checkFolder(config))
  tell('state' in found ? found : checkCredential(found, config, clocks.now()))
  tell(checkOutbox(config, running))
  tell(checkPoison(config.data))
  for (const check of await checkWays(member, config, running !== undefined, clocks, log)) tell(check)
  for (const check of await checkBoard(tree, config.data, board, running !== undefined, clocks.elapsed)) tell(check)
  await examineModels({ ...options, tell }, board, running !== undefined)

  const verdict = (['fail', 'warn'] as const).find((state) => checks.some((check) => check.state === state)) ?? 'ok'
  const at = new Date(clocks.now()).toISOString()
  return { at, version, board, ...(device && { device }), ...(name && { name }), verdict, checks }
}

async function examineModels({ config, tree, clocks, log, tell }: Options, board: Board, running: boolean) {
  const { packages, checks } = await readModels(config)
  for (const check of checks) tell(check)
  if (config.device === undefined) for (const check of checkWanted(config.data, config.serve)) tell(check)
  if (packages.length === 0) return
  const [{ freeMiB }, processor] = await Promise.all([readVitals(tree), processorName(tree)])
  const energy = createEnergy(wattsPerCpuOf(board.model, processor))
  await checkModels({ config, packages, running, freeMiB, energy, elapsed: clocks.elapsed, log, tell })
}

async function checkWays(
  { credential }: Membership,
  config: Config,
  running: boolean,
  clocks: Clocks,
  log: Logger,
): Promise<Check[]> {
  const plain = config.device !== undefined
  const asked = credential && !plain ? await checkConsole(credential, clocks) : { checks: [] }
  const access = accessOf(credential, config)
  return [
    ...asked.checks,
    ...(access ? [await checkBroker(access, running, clocks, log)] : []),
    ...(plain || !credential ? [] : [checkClock(asked.skewMs)]),
  ]
}

/** As the agent would connect. */
function accessOf(credential: Membership['credential'], config: Config): BrokerAccess | undefined {
  const { device, mqttUrl } = config
  if (device !== undefined && mqttUrl !== undefined)
    return { ...plainMembership(config, device, mqttUrl), url: mqttUrl }
  if (credential === undefined) return undefined
  const login = { username: credential.device, password: credential.credential }
  return { url: mqttUrl ?? credential.mqtt.url, device: credential.device, login }
}

/** Prints the page as it is found out, or one JSON object at the end. True when something failed. */
export async function runDoctor(
  options: Pick<Options, 'config' | 'version' | 'log'> & { readonly json: boolean; readonly colours: boolean },
): Promise<boolean> {
  const { json, colours } = options
  const say = (text: string): void => {
    if (!json) process.stdout.write(`${text}\n`)
  }
  const report = await examineBoard({
    ...options,
    tree: openTree(),
    clocks: systemClock,
    begin: (title) => say(`${title}\n`),
    tell: (check) => say(lineOf(check, colours)),
  })
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`)
  say(`\n${verdictOf(report.checks)}`)
  return report.verdict === 'fail'
}
