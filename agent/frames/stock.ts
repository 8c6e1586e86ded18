// What waits: the queue, and before it those that must have the inference host to themselves. When a process dies, nobody can
// tell over which of the frames in it (one is running while the next is being decoded), so whoever is suspected is run alone,
// and then there is no doubt.
import type { Gate } from './gate.ts'
import type { Hand } from './hand.ts'
import type { Queue, Waiting } from './queue.ts'

export interface Stock<W extends Waiting> extends Pick<Queue<W>, 'expire' | 'dropFrames' | 'clear' | 'size'> {
  /** What can be handed in now. While one waits to run alone, or does, nothing else is. */
  next(now: number): W | undefined
  /** Must run alone: it was taken from the queue, and paid for. */
  setAside(item: W): void
  /** True for the one that has the host to itself. */
  isAlone(item: W): boolean
  /** It is not in the host any more, or never came there. */
  ended(item: W): void
}

export function createStock<W extends Waiting>(
  queue: Queue<W>,
  gate: Pick<Gate, 'isOpen' | 'fits'>,
  hand: Pick<Hand<W>, 'size'>,
): Stock<W> {
  let aside: readonly W[] = []
  let alone: W | undefined

  function takeOut(isMeant: (item: W) => boolean): readonly W[] {
    const out = aside.filter(isMeant)
    aside = aside.filter((item) => !isMeant(item))
    return out
  }

  return {
    next(now) {
      if (alone || !gate.isOpen()) return undefined
      if (aside.length === 0) return queue.take(now, gate.fits)
      if (hand.size > 0) return undefined
      ;[alone, ...aside] = aside
      return alone
    },
    setAside(item) {
      aside = [...aside, item]
    },
    isAlone: (item) => item === alone,
    ended(item) {
      if (item === alone) alone = undefined
    },
    expire: (now) => [...queue.expire(now), ...takeOut(({ deadline }) => deadline !== undefined && deadline <= now)],
    dropFrames: () => [...queue.dropFrames(), ...takeOut(({ kind }) => kind === 'frame')],
    clear: () => [...queue.clear(), ...takeOut(() => true)],
    size: () => queue.size() + aside.length,
  }
}
