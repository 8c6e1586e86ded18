// The trades speak before there is a link: until then what they say is refused, as it is while a link is down.
import type { Send } from '../bus.ts'

export interface Voice {
  readonly send: Send
  use(send: Send): void
}

export function createVoice(): Voice {
  let speak: Send = () => Promise.reject(new Error('not connected to the broker yet'))
  return {
    send: (topic, payload, options) => speak(topic, payload, options),
    use(send) {
      speak = send
    },
  }
}
