// The board's connection to its broker, and what it says over it.
import type { Logger } from 'pino'
import { connectLink, type Link } from '../broker/link.ts'
import { filters } from '../broker/protocol/topics.ts'
import type { Config } from './config.ts'
import type { CoreOptions } from './core.ts'
import type { Membership } from './membership.ts'
import { lastWill } from './presence.ts'

/** The board's link; the broker says `offline` for it when it vanishes. */
export const openLink = (
  { device, root, url, login }: Membership,
  config: Pick<Config, 'mqttVersion'>,
  log: Logger,
): Link =>
  connectLink({
    version: config.mqttVersion,
    url,
    clientId: device,
    ...login,
    will: lastWill(device, root),
    subscriptions: filters.deviceInput(device, root),
    log,
  })

/** How the outbox speaks: results and, on MQTT 5, the same once more where a sender asked for it. */
export const voiceOf = (link: () => Link): Pick<CoreOptions, 'publish' | 'reply'> => ({
  publish: (topic, payload) => link().publish(topic, payload, { qos: 1, contentType: contentTypeOf(payload) }),
  reply: (topic, payload, correlationData) =>
    link().publish(topic, payload, {
      qos: 1,
      contentType: 'application/json',
      ...(correlationData && { correlationData }),
    }),
})

/** Answers are JSON, receipts are compact JWS. */
const contentTypeOf = (payload: string): string => (payload.startsWith('{') ? 'application/json' : 'application/jose')
