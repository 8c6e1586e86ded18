// The console on the bus: the broker, who may come in, and the console's own link.
import { connectLink } from '../../broker/link.ts'
import { filters, formatTopic } from '../../broker/protocol/topics.ts'
import { createBus, type Hearers } from '../bus.ts'
import { createEnrolment } from '../fleet/enrolment.ts'
import { createUlid } from '../market/ulid.ts'
import { createOversize } from '../oversize.ts'
import { reachable } from './addresses.ts'
import { CONSOLE_NAME, createDoorkeeper, createOwnCredential, openBroker } from './broker.ts'
import type { House } from './console.ts'
import type { Surroundings } from './surroundings.ts'
import type { Trades } from './trades.ts'

/** What each trade does with what the bus hears. */
function hearersOf({ devices, dispatcher, receipts, pulse, commands }: Trades): Hearers {
  return {
    status: devices.status,
    info: devices.info,
    heartbeat: devices.heartbeat,
    vitals: devices.vitals,
    reply(device, id, reply, length) {
      if (devices.get(device) === undefined) return false
      commands.replied(device, id, reply, length)
      return true
    },
    result(device, task, message) {
      if (devices.get(device) === undefined) return false
      if (!('error' in message)) {
        devices.answered(device)
        pulse.answered()
      }
      return task === undefined ? true : dispatcher.result(device, task, message).then(() => undefined)
    },
    async receipts(device, jws) {
      let ingested = await receipts.ingest(device, jws)
      // The answers may be in a round that is not on disk yet; once it is, the batch need not wait for the board to repeat it.
      if ('waiting' in ingested) {
        await dispatcher.turn()
        ingested = await receipts.ingest(device, jws)
      }
      return 'ack' in ingested ? ingested.ack : undefined
    },
    async offer(requester, { kind, model, payload, requestId }) {
      if (kind === 'frame') await dispatcher.frame({ requester, model, payload })
      else await dispatcher.offer({ requester, model, payload, ...(requestId !== undefined && { requestId }) })
    },
  }
}

export async function connect(house: House, root: string, surroundings: Surroundings) {
  const { config, store, trades, voice } = house
  const { stack, log, now, randomBytes } = surroundings
  const { verify, requesters, issuer, devices, challenges } = trades
  const isBoard = (id: string): boolean => devices.get(id) !== undefined
  const admit = createDoorkeeper({ verify, requesters, isBoard, root })
  const { frameBytes } = config
  const newId = createUlid(now, randomBytes)
  const tooLarge = createOversize({ root, frameBytes, send: voice.send, now, newId, log })
  const broker = await openBroker(config, admit, tooLarge, { ...surroundings, root })
  const credential = await createOwnCredential(issuer, root)
  const link = connectLink({
    url: broker.url,
    // Two consoles on one broker must not throw each other out: that would be a circle.
    clientId: `${CONSOLE_NAME}-${randomBytes(6).toString('hex')}`,
    username: CONSOLE_NAME,
    password: credential.current,
    subscriptions: filters.console(root),
    log: log.child({ part: 'bus' }),
  })
  stack.defer(() => link.close())
  const bus = createBus({ link, root, hearers: hearersOf(trades), log: log.child({ part: 'bus' }) })
  voice.use((topic, payload, options) => link.publish(formatTopic(topic, root), payload, options))
  const enrolment = createEnrolment({
    db: store.db,
    now,
    randomBytes,
    challenges,
    issuer,
    mqtt: { url: config.mqttUrl ?? reachable(broker.url, config.host, config.publicUrl), root },
    add: devices.add,
    boardOf: devices.get,
  })
  return { broker, bus, enrolment, credential }
}
