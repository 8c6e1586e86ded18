// The start of a console, top to bottom: what is opened when, and (by the stack, in reverse) closed. `bramble up` and
// `bramble console` share it.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { readCatalog } from '../../models/catalog.ts'
import { createApp } from '../app.ts'
import type { Config } from '../config.ts'
import { listenHttp } from '../http.ts'
import { lockFolder } from '../lock.ts'
import { type Loop, runLoop } from '../loops.ts'
import { openDatabase } from '../store/open.ts'
import { reachable } from './addresses.ts'
import { RENEW_EVERY_MS } from './broker.ts'
import { connect } from './connect.ts'
import { type DeskOptions, openDesk } from './desk.ts'
import { readConsoleKeys } from './keys.ts'
import { openMoney } from './money.ts'
import type { Surroundings } from './surroundings.ts'
import { openTrades } from './trades.ts'
import { createVoice } from './voice.ts'

/** First levels of every topic (design.md section 3). */
const ROOT = 'bramble/1'
/** Soon after the start, so that a newcomer sees tokens arrive; from then on in the configured rhythm. */
const FIRST_SETTLEMENT_S = 25
const TIDY_EVERY_MS = 3_600_000

export interface ConsoleStart {
  readonly config: Config
  /** Base units that a new local chain's treasury begins with. */
  readonly supply: bigint
  /** Called once the data folder is this process's own. */
  readonly onLocked?: () => Promise<void>
}

/** What is on disk: the lock, the keys, the database, the models, and the trades and the chain over them. */
async function openHouse({ config, supply, onLocked }: ConsoleStart, surroundings: Surroundings) {
  const { stack, randomBytes } = surroundings
  stack.defer(await lockFolder(config.data))
  await onLocked?.()
  const keysFolder = join(config.data, 'keys')
  const keys = await readConsoleKeys(keysFolder, randomBytes)
  const store = await openDatabase(join(config.data, 'console.db'))
  stack.defer(() => store.close())
  const catalog = await readCatalog(config.models)
  const voice = createVoice()
  const trades = await openTrades({ config, store, catalog, keys, send: voice.send }, surroundings)
  const holder = createHash('sha256').update(keys.token).digest('base64url').slice(0, 12)
  const money = await openMoney({ config, store, events: trades.events, keysFolder, holder, supply }, surroundings)
  return { config, keysFolder, keys, store, catalog, voice, trades, money }
}
export type House = Awaited<ReturnType<typeof openHouse>>

async function serve(options: Omit<DeskOptions, 'publicUrl'>, surroundings: Surroundings) {
  const { config } = options
  let url = ''
  const desk = openDesk(
    { ...options, publicUrl: () => config.publicUrl ?? reachable(url, config.host, undefined) },
    surroundings,
  )
  const app = createApp(desk.app)
  const http = await listenHttp({ host: config.host, port: config.http, fetch: app.fetch })
  surroundings.stack.defer(() => http.close())
  url = http.url
  return { url, feed: desk.feed }
}

function runLoops(loops: readonly Loop[], { config, trades, money }: House, surroundings: Surroundings): void {
  const { stack, stopping: signal, sleep, log } = surroundings
  const settlement: Loop = {
    name: 'settlement',
    everyMs: config.settleEveryS * 1000,
    firstMs: Math.min(config.settleEveryS, FIRST_SETTLEMENT_S) * 1000,
    turn: async () => void (await money.payouts.settleNow()),
  }
  const running = [...loops, settlement].map((loop) => runLoop(loop, { signal, sleep, log }))
  const all = Promise.all([...running, money.payouts.run(signal), money.funding.deposits.run(signal)])
  // Deferred last, so awaited first: no turn may find its database gone.
  stack.defer(async () => {
    await all
    // The last turn notes which answers were told, so that the next start does not tell them again.
    await trades.dispatcher.turn()
    await trades.dispatcher.settled()
    await trades.devices.turn()
  })
}

async function applyWalletChanges({ money, trades }: House): Promise<void> {
  const changed = await money.funding.registration.applyDue()
  if (changed.length > 0) trades.events.emit({ about: 'wallets' })
}

export async function startConsole(start: ConsoleStart, surroundings: Surroundings) {
  const house = await openHouse(start, surroundings)
  const { broker, bus, enrolment, credential } = await connect(house, ROOT, surroundings)
  const { url, feed } = await serve({ ...house, broker, bus, enrolment }, surroundings)
  const { trades } = house
  trades.packages.takeInFolder()
  runLoops(
    [
      { name: 'dispatcher', everyMs: 200, turn: trades.dispatcher.turn },
      { name: 'presence', everyMs: 1_000, turn: trades.devices.turn },
      { name: 'feed', everyMs: 500, turn: feed.turn },
      { name: 'commands', everyMs: 1_000, turn: trades.commands.turn },
      { name: 'software', everyMs: 1_000, turn: trades.packages.software.rollouts.turn },
      { name: 'pulse', everyMs: 2_000, turn: trades.pulse.tick },
      { name: 'credential', everyMs: RENEW_EVERY_MS, firstMs: RENEW_EVERY_MS, turn: credential.renew },
      { name: 'wallets', everyMs: 60_000, turn: () => applyWalletChanges(house) },
      { name: 'allowances', everyMs: 10_000, turn: house.money.funding.allowances.turn },
      { name: 'lookup tables', everyMs: 5_000, turn: house.money.payouts.tend },
      { name: 'markers', everyMs: TIDY_EVERY_MS, firstMs: TIDY_EVERY_MS, turn: house.money.payouts.tidy },
    ],
    house,
    surroundings,
  )
  return { ...house, url, broker, bus, enrolment }
}
export type RunningConsole = Awaited<ReturnType<typeof startConsole>>
