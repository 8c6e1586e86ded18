// What happens to a subscriber that does not take its messages: QoS 0 is dropped, then it is disconnected, and nobody
// else waits. The console is the exception, because every board's results go there: its publishers wait for it.
import type { Counters } from './counters.ts'
import type { BrokerLimits } from './limits.ts'
import { type Peer, sendProgress, unsentBytes } from './peer.ts'

type BacklogLimits = Pick<BrokerLimits, 'shedBytes' | 'backlogBytes' | 'consoleBacklogBytes' | 'waitBytes' | 'drainMs'>

export interface Backlog {
  /** May this message be written to the subscriber? Called before every forward. */
  mayForward(subscriber: Peer, qos: number, publisher: Peer | undefined): boolean
}

const drained = (peer: Peer): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      peer.stream.off('drain', done)
      peer.stream.off('close', done)
      resolve()
    }
    peer.stream.on('drain', done)
    peer.stream.on('close', done)
  })

export function createBacklog(limits: BacklogLimits, counters: Counters): Backlog {
  const watched = new WeakSet<Peer>()
  const held = new WeakSet<Peer>()
  const draining = new WeakMap<Peer, Promise<void>>()

  /** Slow is fine, still is not: only a subscriber that took no byte for `drainMs` is ended. */
  function watch(peer: Peer): void {
    if (watched.has(peer)) return
    watched.add(peer)
    const look = (before: string): void => {
      const timer = setTimeout(() => {
        const after = sendProgress(peer.socket)
        if (peer.stream.destroyed || !peer.stream.writableNeedDrain) watched.delete(peer)
        else if (after === before)
          peer.end('slow-subscriber', { unsentBytes: unsentBytes(peer), stillMs: limits.drainMs })
        else look(after)
      }, limits.drainMs)
      timer.unref()
    }
    look(sendProgress(peer.socket))
  }

  /** One wait for all who are held: a thousand boards must not hang a thousand listeners on the console's socket. */
  function drainOf(subscriber: Peer): Promise<void> {
    const pending = draining.get(subscriber) ?? drained(subscriber).then(() => void draining.delete(subscriber))
    draining.set(subscriber, pending)
    return pending
  }

  /** aedes would read on while a publish waits in a hook, so the publisher's stream itself is held. */
  function hold(publisher: Peer, subscriber: Peer): void {
    if (held.has(publisher) || !subscriber.stream.writableNeedDrain) return
    counters.heldPublishers += 1
    held.add(publisher)
    publisher.holdUntil(drainOf(subscriber).then(() => void held.delete(publisher)))
  }

  return {
    mayForward(subscriber, qos, publisher) {
      const unsent = unsentBytes(subscriber)
      if (unsent === 0) return true
      if (subscriber.stream.writableNeedDrain) watch(subscriber)
      const isConsole = subscriber.principal?.role === 'console'
      if (unsent > (isConsole ? limits.consoleBacklogBytes : limits.backlogBytes)) {
        subscriber.end('slow-subscriber', { unsentBytes: unsent })
        return false
      }
      if (qos === 0 && unsent > limits.shedBytes) {
        counters.shedFrames += 1
        return false
      }
      if (isConsole && unsent > limits.waitBytes && publisher && publisher.principal?.role !== 'console')
        hold(publisher, subscriber)
      return true
    },
  }
}
