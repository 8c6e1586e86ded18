import { describe, expect, it } from 'vitest'
import { type Clocks, presence, span } from '../../console/fleet/presence.ts'

const NOW = Date.parse('2026-11-22T12:00:00Z')
const ago = (seconds: number): number => NOW - seconds * 1000
const online = (seconds: number): Clocks => ({ mqtt: { state: 'online', at: ago(seconds) } })
const offline = (seconds: number): Clocks => ({ mqtt: { state: 'offline', at: ago(seconds) } })

const TABLE: readonly (readonly [string, Clocks, string, RegExp])[] = [
  ['never seen', {}, 'new', /never connected/],
  ['just connected', online(1), 'idle', /not answered anything yet/],
  ['heartbeat, no result', { ...online(600), heartbeatAt: ago(20) }, 'idle', /not answered anything/],
  ['heartbeat and a fresh result', { ...online(600), heartbeatAt: ago(20), resultAt: ago(3) }, 'working', /3 s ago/],
  ['last result a minute old', { ...online(600), heartbeatAt: ago(20), resultAt: ago(60) }, 'idle', /60 s ago/],
  ['two heartbeats missed', { ...online(600), heartbeatAt: ago(76) }, 'late', /76 s old/],
  ['one heartbeat missed', { ...online(600), heartbeatAt: ago(75) }, 'idle', /Ready/],
  ['no heartbeat, but results', { ...online(900), heartbeatAt: ago(400), resultAt: ago(2) }, 'working', /2 s ago/],
  ['session open, silent', { ...online(900), heartbeatAt: ago(301) }, 'offline', /half-open/],
  ['said goodbye', { ...offline(240), heartbeatAt: ago(250), resultAt: ago(245) }, 'offline', /4 min ago/],
  ['offline, but heard after it', { ...offline(240), heartbeatAt: ago(10) }, 'idle', /Ready/],
  ['offline told just after the last words', { ...offline(10), heartbeatAt: ago(9) }, 'offline', /10 s ago/],
  ['no status, old heartbeat', { heartbeatAt: ago(4000) }, 'offline', /Nothing was heard of it for 67 min/],
]

describe('presence', () => {
  it.each(TABLE)('is one state with its reason: %s', (_, clocks, state, reason) => {
    const derived = presence(clocks, undefined, NOW)
    expect(derived.state).toBe(state)
    expect(derived.reason).toMatch(reason)
  })

  it('says why an idle board has nothing to do', () => {
    const clocks = { ...online(600), heartbeatAt: ago(5) }
    expect(presence(clocks, 'no-work', NOW).reason).toMatch(/nobody has sent it work/)
    expect(presence(clocks, 'starting', NOW).reason).toMatch(/loading its models/)
  })

  it('ages in the unit a person would use', () => {
    expect([0, 99_000, 100_000, 7_200_000, 200_000_000].map(span)).toEqual(['0 s', '99 s', '2 min', '2 h', '2 days'])
  })
})
