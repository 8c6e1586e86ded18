// What MQTT 5 carries beside a payload, between its packets and our words.
import type { IPublishPacket } from 'mqtt-packet'
import type { MessageMeta, PublishOptions } from './terms.ts'

type Properties = NonNullable<IPublishPacket['properties']>

/** On 3.1.1 every message gets this one. */
export const NO_META: MessageMeta = Object.freeze({})

/** A topic to publish to: no wildcard, not empty, and no longer than any of ours. */
const RESPONSE_TOPIC = /^[^+#\0]{1,256}$/

const sourceOf = ({ userProperties }: Properties): string | undefined => {
  const source = userProperties?.['source']
  return Array.isArray(source) ? source[0] : source
}

/** `epoch` is the time now, epoch milliseconds: the expiry on the wire is what was left when the broker sent it. */
export function metaOf(properties: Properties | undefined, epoch: () => number): MessageMeta {
  if (properties === undefined) return NO_META
  const { responseTopic, correlationData, contentType, messageExpiryInterval } = properties
  const source = sourceOf(properties)
  return {
    ...(responseTopic !== undefined && RESPONSE_TOPIC.test(responseTopic) && { responseTopic }),
    ...(correlationData !== undefined && { correlationData }),
    ...(contentType !== undefined && { contentType }),
    ...(messageExpiryInterval !== undefined && { expiresAt: epoch() + messageExpiryInterval * 1000 }),
    ...(source !== undefined && { source }),
  }
}

/** Undefined when there is nothing to say. */
export function propertiesOf(options: PublishOptions): Properties | undefined {
  const { responseTopic, correlationData, contentType, expiryS } = options
  const properties = {
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlationData !== undefined && { correlationData: Buffer.from(correlationData) }),
    ...(contentType !== undefined && { contentType }),
    ...(expiryS !== undefined && { messageExpiryInterval: expiryS }),
  }
  return Object.keys(properties).length > 0 ? properties : undefined
}

/** What they add to a packet, at most. */
export const bytesOf = ({ responseTopic = '', correlationData, contentType = '' }: PublishOptions): number =>
  32 + Buffer.byteLength(responseTopic) + Buffer.byteLength(contentType) + (correlationData?.byteLength ?? 0)
