// The credential over months in which something else is wrong.
import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { StoredCredential } from '../../agent/membership/credential.ts'
import { askWhileCutOff } from '../../agent/membership/cut-off.ts'
import { createRenewal } from '../../agent/membership/renewal.ts'

const [MINUTE, DAY] = [60_000, 86_400_000]
const START = Date.UTC(2026, 10, 22)
const iso = (at: number): string => new Date(at).toISOString()

/** A board whose clock is `aheadMs` ahead, at a console that always renews for 30 days. */
function start({ aheadMs = 0, save = () => {} }: { aheadMs?: number; save?: () => void } = {}) {
  const stop = new AbortController()
  let [at, until] = [START, Number.POSITIVE_INFINITY]
  const lines: string[] = []
  const renewals: number[] = []
  const first: StoredCredential = {
    device: 'dev-a',
    name: 'calm-green-fox',
    credential: 'jwt-0',
    mqtt: { url: 'mqtt://127.0.0.1:1883', root: 'bramble/1' },
    console: 'http://127.0.0.1:8080',
    obtainedAt: iso(START),
    expiresAt: iso(START + 30 * DAY),
  }
  const renewal = createRenewal({
    credential: first,
    async renew() {
      renewals.push(at)
      const credential = `jwt-${renewals.length}`
      return { ...first, credential, obtainedAt: iso(at + aheadMs), expiresAt: iso(at + 30 * DAY) }
    },
    save,
    now: () => at + aheadMs,
    async sleep(ms) {
      at += ms
      if (at >= until) stop.abort()
    },
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }),
  })
  return {
    renewal,
    renewals,
    lines,
    later(ms: number): void {
      at += ms
    },
    /** Lets the renewal look after itself for so long. */
    async run(ms: number): Promise<void> {
      until = at + ms
      await renewal.run(stop.signal)
    },
  }
}

test('with a clock that is a year ahead the console is asked once an hour, and not every minute', async () => {
  const { run, renewals } = start({ aheadMs: 365 * DAY })
  await run(30 * DAY)
  expect(renewals.length).toBeGreaterThan(600)
  expect(renewals.length).toBeLessThan(800)
})

test('a broker that refuses every credential for a month costs a renewal an hour, and the next trouble one at once', async () => {
  const { renewal, renewals, later } = start()
  const refusedFor = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 15_000) {
      later(15_000)
      renewal.doubt()
      await renewal.check()
    }
  }
  await refusedFor(30 * DAY)
  expect(renewals.length).toBeLessThan(800)
  later(19 * DAY)
  const before = renewals.length
  await refusedFor(5 * MINUTE)
  expect(renewals.length - before).toBe(3)
})

test('one that the disk does not take is used all the same, and nobody is told to enrol again', async () => {
  const { renewal, run, renewals, lines } = start({
    save() {
      throw Object.assign(new Error('its disk is full'), { name: 'PrivateFileError' })
    },
  })
  await run(21 * DAY)
  expect(renewals).toHaveLength(1)
  expect(renewal.current().credential).toBe('jwt-1')
  expect(lines.join('')).toContain('could not be kept')
  expect(lines.join('')).not.toContain('enrolled again')
})

test('is asked for when there is no broker where it says, and not for a short outage', async () => {
  for (const [outage, asked] of [
    [12, 0],
    [45, 3],
  ] as const) {
    let minutes = 0
    let doubts = 0
    const stop = new AbortController()
    await askWhileCutOff(
      {
        doubt() {
          doubts += 1
        },
        isConnected: () => minutes <= 60 || minutes > 60 + outage,
        async sleep(ms) {
          minutes += ms / MINUTE
          if (minutes >= 1_440) stop.abort()
        },
      },
      stop.signal,
    )
    expect(doubts, `an outage of ${outage} minutes`).toBe(asked)
  }
})
