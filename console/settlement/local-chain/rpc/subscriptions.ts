// The WebSocket side of the RPC: signatureSubscribe (one notification, then it ends) and slotSubscribe.
import { z } from 'zod'
import type { Chain } from '../chain.ts'
import { type Commitment, commitmentOf, reaches } from '../clock.ts'
import { RpcFault } from '../rpc-fault.ts'
import { encodeJson } from './dispatch.ts'
import { errorOf } from './history.ts'
import { Context, config, method, type RpcMethods, Signature } from './params.ts'

/** More on one connection is a client that forgets to unsubscribe. */
const MAX_SUBSCRIPTIONS = 1_000

export interface Subscriptions {
  readonly methods: RpcMethods
  /** Sends what has become due; the server calls it once a slot. */
  tick(): void
  readonly size: number
}

interface Watch {
  readonly signature: string
  readonly commitment: Commitment
}

const notification = (name: string, subscription: number, result: unknown): string =>
  encodeJson({ jsonrpc: '2.0', method: name, params: { result, subscription } })

/** One per connection; `nextId` is shared, so that ids are unique on the server. */
export function createSubscriptions(chain: Chain, nextId: () => number, send: (text: string) => void): Subscriptions {
  const watches = new Map<number, Watch>()
  const slots = new Set<number>()
  let announced = chain.clock.slot()

  const add = (register: (id: number) => void): number => {
    if (watches.size + slots.size >= MAX_SUBSCRIPTIONS)
      throw new RpcFault('invalidRequest', `a connection may hold ${MAX_SUBSCRIPTIONS} subscriptions`)
    const id = nextId()
    register(id)
    return id
  }

  const announceSlots = (newest: number): void => {
    // After a pause (a sleeping laptop) the slots between are gone; a node's subscriber would not see them either.
    for (let slot = Math.max(announced + 1, newest - 8); slot <= newest; slot++)
      for (const id of slots)
        send(notification('slotNotification', id, { slot, parent: slot - 1, root: Math.max(slot - 32, 0) }))
    announced = newest
  }

  const announceSignatures = (newest: number): void => {
    for (const [id, { signature, commitment }] of watches) {
      const landed = chain.find(signature)
      if (!landed || !reaches(commitmentOf(landed.slot, newest), commitment)) continue
      watches.delete(id)
      const context = { slot: chain.clock.slot(commitment) }
      send(notification('signatureNotification', id, { context, value: { err: errorOf(landed) } }))
    }
  }

  return {
    methods: {
      signatureSubscribe: method([Signature, config(Context)], (signature, { commitment }) =>
        add((id) => watches.set(id, { signature, commitment })),
      ),
      signatureUnsubscribe: method([z.int()], (id) => watches.delete(id)),
      slotSubscribe: method([], () => add((id) => slots.add(id))),
      slotUnsubscribe: method([z.int()], (id) => slots.delete(id)),
    },
    tick() {
      const newest = chain.clock.slot()
      announceSlots(newest)
      announceSignatures(newest)
    },
    get size() {
      return watches.size + slots.size
    },
  }
}
