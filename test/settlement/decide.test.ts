// The one decision money hangs on, as a pure function: every way the chain can look, and what follows.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Attempt, decide, type MarkerSight, type OpenState, type Sight } from '../../console/settlement/decide.ts'
import type { SignatureStatus } from '../../console/settlement/payer.ts'
import { PAYOUT_MOVES } from '../../console/store/states.ts'

const attempt = (n: number): Attempt => ({
  attempt: n,
  signature: `s${n}`,
  wire: new Uint8Array(),
  lastValidBlockHeight: n * 1_000,
})
const attempts = (count: number) => Array.from({ length: count }, (_, i) => attempt(i + 1))
const MOST = 5
const sight = (
  finalizedHeight: number,
  found: Record<string, SignatureStatus> = {},
  { current = true, marker = 'absent' }: { current?: boolean; marker?: MarkerSight } = {},
): Sight => ({ finalizedHeight, current, found: new Map(Object.entries(found)), marker })
const BEHIND = { current: false } as const
const OK = (commitment: SignatureStatus['commitment']): SignatureStatus => ({ commitment })
const ERR = (commitment: SignatureStatus['commitment']): SignatureStatus => ({ commitment, error: 'Custom 1' })
const STOPPED: SignatureStatus = { commitment: 'finalized', error: 'Custom 0', markerExists: true }

describe('what to do next with a payout', () => {
  it.each<[string, OpenState, number, Sight, string]>([
    ['a planned one is signed', 'planned', 0, sight(0), 'sign'],
    ['an unknown one is sent while it may land', 'signed', 1, sight(1_000), 'send'],
    ['one past its last valid height that nobody knows has expired', 'sent', 1, sight(1_001), 'expire'],
    ['but not when the answering node was behind', 'sent', 1, sight(1_001, {}, BEHIND), 'send'],
    ['an expired one is signed again', 'expired', 1, sight(1_001), 'sign'],
    ['but not while a node that is behind says unknown', 'expired', 1, sight(1_001, {}, BEHIND), 'wait'],
    ['an expired one found after all is finalized', 'expired', 1, sight(1_001, { s1: OK('finalized') }), 'finalize'],
    ['an older attempt found after all is finalized', 'sent', 2, sight(1_500, { s1: OK('finalized') }), 'finalize'],
    ['an older attempt seen on its way stops a new one', 'expired', 2, sight(9_000, { s1: OK('processed') }), 'wait'],
    ['a confirmed one waits for finalized', 'confirmed', 1, sight(900, { s1: OK('confirmed') }), 'wait'],
    ['one seen as confirmed moves there', 'sent', 1, sight(900, { s1: OK('confirmed') }), 'confirm'],
    ['a confirmed one that was forked away goes back', 'confirmed', 1, sight(900), 'unconfirm'],
    ['a fork back to processed counts too', 'confirmed', 1, sight(900, { s1: OK('processed') }), 'unconfirm'],
    ['a failure is believed when it is final', 'sent', 1, sight(900, { s1: ERR('finalized') }), 'fail'],
    ['and not before', 'sent', 1, sight(900, { s1: ERR('confirmed') }), 'send'],
    [
      'a failed attempt does not end it while another may land',
      'sent',
      2,
      sight(1_500, { s1: ERR('finalized') }),
      'send',
    ],
    ['one that never lands is signed again, however often', 'expired', MOST, sight(99_000), 'sign'],
    [
      'its marker made by one of its attempts, it is finalized',
      'sent',
      1,
      sight(900, {}, { marker: 'ours' }),
      'finalize',
    ],
    ['also when all its attempts seem gone', 'expired', 2, sight(9_000, {}, { marker: 'ours' }), 'finalize'],
    ['nothing is signed while the marker is unclear', 'expired', 1, sight(1_001, {}, { marker: 'unclear' }), 'wait'],
    ['nor for the first time', 'planned', 0, sight(0, {}, { marker: 'unclear' }), 'wait'],
    ['a marker made by another ends it', 'expired', 1, sight(1_001, {}, { marker: 'taken' }), 'fail'],
    ['also before it was ever signed', 'planned', 0, sight(0, {}, { marker: 'taken' }), 'fail'],
    ['one that stopped at its marker is not given up', 'sent', 1, sight(1_001, { s1: STOPPED }), 'expire'],
    ['nor signed again, though the marker seems absent', 'expired', 2, sight(9_000, { s1: STOPPED }), 'wait'],
    [
      'without markers that error is one as any other',
      'sent',
      1,
      sight(9_000, { s1: STOPPED }, { marker: 'none' }),
      'fail',
    ],
    ['an older failure says nothing of the newest', 'expired', 2, sight(9_000, { s1: ERR('finalized') }), 'sign'],
  ])('%s', (_name, state, count, seen, step) => {
    expect(decide({ state, attempts: attempts(count) }, seen).do).toBe(step)
  })

  const status = fc.option(
    fc.record({
      commitment: fc.constantFrom('processed' as const, 'confirmed' as const, 'finalized' as const),
      error: fc.option(fc.constant('Custom 1'), { nil: undefined }),
    }),
    { nil: undefined },
  )
  const MOVE = {
    confirm: 'confirmed',
    unconfirm: 'sent',
    finalize: 'finalized',
    expire: 'expired',
    fail: 'failed',
    sign: 'signed',
  }

  it('never asks for a forbidden move, never signs or fails while any attempt might still pay', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<OpenState>('planned', 'signed', 'sent', 'confirmed', 'expired'),
        fc.array(status, { minLength: 1, maxLength: MOST }),
        fc.nat(MOST * 1_000 + 500),
        fc.boolean(),
        fc.constantFrom<MarkerSight>('absent', 'none', 'taken', 'unclear'),
        (state, statuses, height, current, marker) => {
          const list = state === 'planned' ? [] : attempts(statuses.length)
          const found = new Map<string, SignatureStatus>()
          for (const [index, one] of statuses.entries())
            if (one && state !== 'planned')
              found.set(`s${index + 1}`, { commitment: one.commitment, ...(one.error && { error: one.error }) })
          const step = decide({ state, attempts: list }, { finalizedHeight: height, current, found, marker })
          const to = step.do in MOVE ? MOVE[step.do as keyof typeof MOVE] : undefined
          if (to) expect(PAYOUT_MOVES[state] as readonly string[]).toContain(to)
          if (step.do === 'sign') expect(['absent', 'none']).toContain(marker)
          if (list.length === 0 || (step.do !== 'sign' && step.do !== 'fail' && step.do !== 'expire')) return
          // Made by another, the marker ends every attempt at once; but nothing that is seen as paid is given up.
          if (step.do === 'fail' && marker === 'taken') {
            expect([...found.values()].some(({ commitment, error }) => commitment !== 'processed' && !error)).toBe(
              false,
            )
            return
          }
          for (const { signature, lastValidBlockHeight } of list) {
            const seen = found.get(signature)
            const dead = seen ? seen.commitment === 'finalized' && seen.error : current && height > lastValidBlockHeight
            expect(dead, `${step.do} with ${signature} alive`).toBeTruthy()
          }
        },
      ),
      { numRuns: 2_000 },
    )
  })
})
