// `bramble up`: a console, its boards and a demo, all on this machine; ready when everything answers.
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { type RunningConsole, startConsole } from '../start/console.ts'
import type { Surroundings } from '../start/surroundings.ts'
import { startAgents } from './agents.ts'
import { blockOf } from './block.ts'
import { keepAlive } from './children.ts'
import { buildPage, isStale } from './page.ts'
import { type Ready, removeReady, writeReady } from './ready.ts'
import { DEMO, DEMO_BUDGET, type Seeded, seed } from './seed.ts'

/** A small board loads its models within this; a slower one is told about in the log and may come later. */
const BOARDS_MS = 60_000
const LOOK_EVERY_MS = 50

/** Resolves when `count` boards are online with their models, or the time is up. */
async function boardsReady(count: number, { trades }: RunningConsole, surroundings: Surroundings): Promise<void> {
  const { now, sleep, stopping, log } = surroundings
  const until = now() + BOARDS_MS
  const present = (): number =>
    trades.devices.list().filter((board) => board.clocks.mqtt?.state === 'online' && board.info !== undefined).length
  while (present() < count && now() < until && !stopping.aborted) await sleep(LOOK_EVERY_MS, stopping)
  if (present() < count) log.warn({ present: present(), expected: count }, 'not all boards have come yet')
}

async function startBoards(config: Config, running: RunningConsole, surroundings: Surroundings): Promise<void> {
  const { stack, log, now, sleep, packageRoot } = surroundings
  const agents = await startAgents({
    root: packageRoot,
    data: config.data,
    models: config.models,
    count: config.agents,
    consoleUrl: running.url,
    mqttUrl: running.broker.url,
    token: async () =>
      (await running.enrolment.mint({ owner: DEMO, label: 'bramble up', uses: 1, expiresInS: 300 })).token,
    isKnown: (device) => running.trades.devices.get(device) !== undefined,
    log,
    now,
    sleep,
    stopping: surroundings.stopping,
  })
  stack.defer(() => agents.stop())
  await boardsReady(config.agents, running, surroundings)
}

function startDemo(config: Config, { broker }: RunningConsole, { keyFile }: Seeded, surroundings: Surroundings): void {
  const { stack, log, now, sleep, stopping, packageRoot } = surroundings
  const main = join(packageRoot, 'console/up/demo/main.ts')
  const args = [main, '--mqtt-url', broker.url, '--requester', DEMO, '--key-file', keyFile, '--models', config.models]
  const memory = '--max-old-space-size=96'
  const pipeline = keepAlive({ name: 'demo-pipeline', args: [memory, ...args], log, now, sleep, stopping })
  stack.defer(() => pipeline.stop())
}

function readyOf({ url, keys, broker, money, trades, catalog }: RunningConsole, { apiKey }: Seeded): Ready {
  return {
    console: { url, token: keys.token },
    mqtt: { url: broker.url, ...(broker.wsUrl !== undefined && { wsUrl: broker.wsUrl }) },
    chain: { rpcUrl: money.rpcUrl, mint: money.treasury.token.mint, treasury: money.treasury.address },
    requester: { id: DEMO, password: apiKey },
    devices: trades.devices.list().map(({ id, name }) => ({ id, name })),
    models: catalog.list().map(({ manifest }) => manifest.id),
  }
}

/** Answers what to print. What must be closed is on the stack. */
export async function up(config: Config, surroundings: Surroundings): Promise<string> {
  const { packageRoot, log, stopping, stack, now } = surroundings
  // A ready.json left by a killed process would send scripts to ports where nobody is.
  const onLocked = () => removeReady(config.data)
  const running = await startConsole({ config, supply: DEMO_BUDGET, onLocked }, surroundings)
  stack.defer(() => removeReady(config.data))
  if (await isStale(packageRoot)) {
    const building = buildPage(packageRoot, log, stopping)
    stack.defer(() => building)
  }
  const { store, keysFolder, trades, money } = running
  const { wallet } = config
  const { requesters } = trades
  const { registration } = money.funding
  const seeded = await seed({ store, requesters, registration, keysFolder, now, ...(wallet && { wallet }) })
  await startBoards(config, running, surroundings)
  if (config.demo) startDemo(config, running, seeded, surroundings)
  const ready = readyOf(running, seeded)
  await writeReady(config.data, ready)
  return blockOf({ ready, data: config.data, wallet: seeded.wallet, demo: config.demo })
}
