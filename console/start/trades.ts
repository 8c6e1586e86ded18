// The trades of a console, opened in the order in which they need each other.

import { createIssuer, createVerifier, keysOf } from '../../broker/jwt.ts'
import { publicKeyFromRaw } from '../../broker/protocol/credentials.ts'
import type { Catalog } from '../../models/catalog.ts'
import type { Send } from '../bus.ts'
import type { Config } from '../config.ts'
import { createEvents } from '../events.ts'
import { createChallenges } from '../fleet/challenges.ts'
import { createFleetCommands } from '../fleet/commands.ts'
import { type Board, createDevices, type Devices } from '../fleet/devices.ts'
import type { Candidate } from '../market/choice.ts'
import { createDispatcher, type Dispatcher } from '../market/dispatcher.ts'
import { createFrames } from '../market/frames.ts'
import { createPrices, type Price } from '../market/prices.ts'
import { createRequesters } from '../market/requesters.ts'
import { createUlid } from '../market/ulid.ts'
import type { Kept } from '../registry/shelf.ts'
import { openEpoch } from '../rewards/epochs.ts'
import { createReceipts } from '../rewards/receipts.ts'
import { createPulse } from '../routes/views/pulse.ts'
import type { Store } from '../store/open.ts'
import type { ConsoleKeys } from './keys.ts'
import { openPackages } from './registry.ts'
import type { Surroundings } from './surroundings.ts'

export interface TradeOptions {
  readonly config: Config
  readonly store: Store
  readonly catalog: Catalog
  readonly keys: ConsoleKeys
  readonly send: Send
}

/** Base units per answer until somebody sets another price: what a run costs grows with the model. */
const FIRST_PRICES: Readonly<Record<string, bigint>> = { 'mobilenet-v1': 100n, 'ssd-mobilenet-v1': 250n }
const OTHER_PRICE = 50n
const PUBLISHER = 'bramble'

const firstPrices = (catalog: Catalog): Price[] =>
  catalog
    .list()
    .map(({ manifest: { id } }) => ({ model: id, units: FIRST_PRICES[id] ?? OTHER_PRICE, publisher: PUBLISHER }))

/** Boards that may be given work: heard of lately, and their models known. */
const candidates = (devices: Devices): Candidate[] =>
  devices.list().flatMap((board) => {
    const { state } = devices.presenceOf(board)
    if ((state !== 'working' && state !== 'idle') || board.info === undefined) return []
    const { models, limits } = board.info
    return [
      {
        device: board.id,
        models: models.map(({ id }) => id),
        queue: board.heartbeat?.queue ?? 0,
        ...(limits.queuedFrames < MAX_WINDOW && { window: limits.queuedFrames }),
      },
    ]
  })
/** A board that can queue at least this many gets the dispatcher's own window. */
const MAX_WINDOW = 8

const keyOf = (board: Board | undefined) => board && publicKeyFromRaw(Buffer.from(board.publicKey, 'base64url'))

/** Under load the dispatcher commits no more often than this: shorter than the work that boards already hold, so none runs dry. */
const GATHER_MS = 8

export async function openTrades(options: TradeOptions, surroundings: Surroundings) {
  const { now, log, randomBytes, sleep, stopping } = surroundings
  const { config, store, catalog, keys, send } = options
  const { db } = store
  const events = createEvents()
  const pulse = createPulse(now)
  const issuer = createIssuer({ privateKey: keys.signing, now })
  const verify = createVerifier({ keys: keysOf(issuer.jwks()), now })
  const requesters = createRequesters({ db, now, randomBytes })
  const prices = await createPrices(db)
  await prices.seed(firstPrices(catalog))
  await db.transaction().execute((trx) => openEpoch(trx, now()))
  const frames = createFrames()

  const leave: { gone: (device: string) => void } = { gone: () => undefined }
  const devices = await createDevices({ db, now, emit: events.emit, onGone: (device) => leave.gone(device) })
  const dispatcher: Dispatcher = await createDispatcher({
    store,
    now,
    newId: createUlid(now, randomBytes),
    send,
    boards: () => candidates(devices),
    prices,
    frames,
    emit: ({ task }) => events.emit({ about: 'task', id: task }),
    log: log.child({ part: 'dispatcher' }),
    limits: { payloadBytes: config.frameBytes },
    pause: () => sleep(GATHER_MS, stopping),
  })
  leave.gone = (device) => {
    dispatcher
      .boardGone(device)
      .catch((error: unknown) => log.error({ err: error, device }, 'leases were not given up'))
  }

  const newId = createUlid(now, randomBytes)
  const published = ({ release: { id, publisher } }: Kept) =>
    prices.seed([{ model: id, units: FIRST_PRICES[id] ?? OTHER_PRICE, publisher }])
  const packages = await openPackages({ ...options, devices, newId, published }, surroundings)
  const receipts = createReceipts({
    store,
    now,
    devicePublicKey: (device) => keyOf(devices.get(device)),
    modelDigest: packages.digestOf,
    settings: { holdMs: config.holdS * 1000, feeBps: config.feeBps, royaltyBps: config.royaltyBps },
    emit: () => events.emit({ about: 'rewards' }),
    log: log.child({ part: 'receipts' }),
  })
  const challenges = createChallenges({ now, randomBytes })
  const market = { requesters, prices, frames, dispatcher, receipts }
  const commands = createFleetCommands({
    send: (device, name, id, payload) => send({ kind: 'command', device, name, id }, payload, { qos: 1 }),
    isOnline: (device) => devices.get(device)?.clocks.mqtt?.state === 'online',
    now,
    newId,
    log,
  })
  return { ...market, events, pulse, issuer, verify, devices, commands, challenges, packages }
}
export type Trades = Awaited<ReturnType<typeof openTrades>>
