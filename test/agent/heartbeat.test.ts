import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createTally } from '../../agent/frames/tally.ts'
import { HEARTBEAT_BYTES, heartbeatOf, type Readings } from '../../agent/presence/heartbeat.ts'
import {
  type DropReason,
  ERROR_CODES,
  type ErrorCode,
  HeartbeatMessage,
  VITAL_FLAGS,
} from '../../broker/protocol/messages.ts'

const readings = (more: Partial<Readings> = {}): Readings => ({
  at: Date.UTC(2026, 10, 22),
  upMs: 90_000,
  counts: createTally().counts(),
  inSince: 0,
  runsSince: 0,
  answeredSince: 0,
  sinceMs: 30_000,
  queue: 0,
  outbox: 0,
  memMiB: 60.4,
  vitals: { totalMiB: 512, freeMiB: 123 },
  flags: [],
  energy: undefined,
  host: 'ready',
  models: 2,
  paused: false,
  diskFailing: false,
  outboxFull: false,
  ...more,
})

describe('the heartbeat', () => {
  test('stays within 400 bytes with every reason, every flag and the largest numbers', () => {
    const count = fc.integer({ min: 0, max: 999_999_999 })
    const reasons = fc.dictionary(fc.constantFrom(...ERROR_CODES, 'newer-frame', 'queue-full', 'late'), count)
    fc.assert(
      fc.property(reasons, count, fc.subarray([...VITAL_FLAGS]), fc.boolean(), (drops, n, flags, metered) => {
        const message = heartbeatOf(
          readings({
            counts: { in: n, answered: n, refused: n, dropped: n, reasons: drops },
            upMs: 10 * 365 * 86_400_000,
            answeredSince: 9_999,
            queue: 100_000,
            outbox: 9_999_999,
            vitals: { tempC: -12.5, totalMiB: 65_536, freeMiB: 65_000 },
            host: 'restarting',
            flags,
            energy: metered ? { j: 0.00123, from: 'estimated' } : undefined,
          }),
        )
        expect(JSON.stringify(message).length).toBeLessThanOrEqual(HEARTBEAT_BYTES)
        expect(HeartbeatMessage.parse(message)).toEqual(message)
        const sum = (counts: Record<string, number>) => Object.values(counts).reduce((a, b) => a + b, 0)
        expect(sum(message.drops)).toBe(sum(drops))
        // What does not fit is left out from the end.
        expect(message.flags ?? []).toEqual(flags.slice(0, message.flags?.length ?? 0))
        if (flags.length > 0) expect(message.flags).toBeDefined()
      }),
    )
  })

  test('leaves out a temperature that the board cannot measure', () => {
    expect(heartbeatOf(readings())).not.toHaveProperty('tempC')
    expect(heartbeatOf(readings({ vitals: { tempC: 51.2, totalMiB: 512, freeMiB: 1 } })).tempC).toBe(51.2)
  })

  test('says why it is idle, and nothing while it works', () => {
    expect(heartbeatOf(readings()).idle).toBe('no-work')
    expect(heartbeatOf(readings({ host: 'starting' })).idle).toBe('starting')
    expect(heartbeatOf(readings({ host: 'restarting', queue: 3 })).idle).toBe('host-restarting')
    expect(heartbeatOf(readings({ inSince: 60, answeredSince: 1 }))).not.toHaveProperty('idle')
    expect(heartbeatOf(readings({ answeredSince: 60 }))).toMatchObject({ rate: 2 })
    expect(heartbeatOf(readings({ answeredSince: 60 }))).not.toHaveProperty('idle')
  })

  test.each([
    [{ models: 0, host: 'starting' as const }, 'no-model'],
    [{ paused: true, queue: 3, answeredSince: 5 }, 'too-hot'],
    [{ diskFailing: true, queue: 1 }, 'disk-failing'],
    [{ outboxFull: true, queue: 1 }, 'outbox-full'],
    [{ outboxFull: true, diskFailing: true, paused: true }, 'too-hot'],
    [{ inSince: 500 }, 'all-refused'],
    [{ inSince: 500, runsSince: 3, queue: 4 }, 'all-refused'],
    [{ queue: 4 }, 'stuck'],
    [{ queue: 4, inSince: 500 }, 'stuck'],
    // A first heartbeat soon after the connection: a slow model may just have begun.
    [{ queue: 4, sinceMs: 10_000 }, undefined],
  ])('names the first cause that keeps it from working: %j', (more, idle) => {
    expect(heartbeatOf(readings(more)).idle).toBe(idle)
  })

  test('carries flags and energy where there are any', () => {
    const energy = { j: 0.12, from: 'measured' as const }
    expect(heartbeatOf(readings({ flags: ['under-voltage', 'slowed'], energy }))).toMatchObject({
      flags: ['under-voltage', 'slowed'],
      energy,
    })
    expect(heartbeatOf(readings())).not.toHaveProperty('flags')
    expect(heartbeatOf(readings())).not.toHaveProperty('energy')
  })

  test('counts every frame out once', () => {
    const end = fc.oneof(
      fc.constant({ kind: 'answered' as const }),
      fc.constantFrom<ErrorCode>('busy', 'bad-frame').map((code) => ({ kind: 'refused' as const, code })),
      fc.constantFrom<DropReason>('late', 'duplicate').map((reason) => ({ kind: 'dropped' as const, reason })),
    )
    fc.assert(
      fc.property(fc.array(end), (ends) => {
        const tally = createTally()
        for (const one of ends) {
          tally.arrived()
          if (one.kind === 'answered') tally.answered()
          else if (one.kind === 'refused') tally.refused(one.code)
          else tally.dropped(one.reason)
        }
        const { in: arrived, answered, refused, dropped, reasons } = tally.counts()
        expect(arrived).toBe(answered + refused + dropped)
        expect(Object.values(reasons).reduce((a, b) => a + b, 0)).toBe(refused + dropped)
      }),
    )
  })
})
