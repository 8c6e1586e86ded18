import { describe, expect, it } from 'vitest'
import { IDLE_REASONS, type IdleReason } from '../../broker/protocol/messages.ts'
import { type Clocks, presence } from '../../console/fleet/presence.ts'

const NOW = Date.parse('2026-11-22T12:00:00Z')
const ago = (seconds: number): number => NOW - seconds * 1000
const online = (seconds: number): Clocks => ({ mqtt: { state: 'online', at: ago(seconds) } })
const offline = (seconds: number): Clocks => ({ mqtt: { state: 'offline', at: ago(seconds) } })

const TABLE: readonly (readonly [string, Clocks, string, RegExp])[] = [
  ['never seen', {}, 'new', /never connected/],
  ['just connected', online(1), 'idle', /not answered anything yet/],
  ['heartbeat, no result', { ...online(600), heartbeatAt: ago(20) }, 'idle', /not answered anything/],
  [
    'heartbeat and a fresh result',
    { ...online(600), heartbeatAt: ago(20), resultAt: ago(3) },
    'working',
    /are answered/,
  ],
  ['last result a minute old', { ...online(600), heartbeatAt: ago(20), resultAt: ago(60) }, 'idle', /Ready/],
  ['two heartbeats missed', { ...online(600), heartbeatAt: ago(76) }, 'late', /two are missing/],
  ['one heartbeat missed', { ...online(600), heartbeatAt: ago(75) }, 'idle', /Ready/],
  ['no heartbeat, but results', { ...online(900), heartbeatAt: ago(400), resultAt: ago(2) }, 'working', /are answered/],
  ['session open, silent', { ...online(900), heartbeatAt: ago(301) }, 'offline', /half-open/],
  ['said goodbye', { ...offline(240), heartbeatAt: ago(250), resultAt: ago(245) }, 'offline', /connection ended/],
  ['offline, but heard after it', { ...offline(240), heartbeatAt: ago(10) }, 'idle', /Ready/],
  ['offline told just after the last words', { ...offline(10), heartbeatAt: ago(9) }, 'offline', /connection ended/],
  ['no status, old heartbeat', { heartbeatAt: ago(4000) }, 'offline', /Nothing is heard of it/],
]

const told = (idle?: IdleReason, queue = 0, rate = 0) => ({ queue, rate, ...(idle && { idle }) })

describe('presence', () => {
  it.each(TABLE)('is one state with its reason: %s', (_, clocks, state, reason) => {
    const derived = presence(clocks, undefined, NOW)
    expect(derived.state).toBe(state)
    expect(derived.reason).toMatch(reason)
  })

  it('says why an idle board has nothing to do', () => {
    const clocks = { ...online(600), heartbeatAt: ago(5) }
    expect(presence(clocks, told('no-work'), NOW).reason).toMatch(/nobody has sent it work/)
    expect(presence(clocks, told('starting'), NOW).reason).toMatch(/loading its models/)
  })

  it('says that work stands still where the board names no reason', () => {
    const clocks = { ...online(600), heartbeatAt: ago(5), resultAt: ago(300) }
    expect(presence(clocks, told(undefined, 4), NOW)).toEqual({
      state: 'idle',
      reason: 'It has work and answers none of it.',
      idle: 'stuck',
    })
    expect(presence(clocks, told(undefined, 4, 0.1), NOW).reason).toBe('Ready.')
  })

  it.each(IDLE_REASONS)('has a sentence of its own for %s, beside an answer of old', (reason) => {
    const clocks = { ...online(600), heartbeatAt: ago(5), resultAt: ago(300) }
    const sentences = IDLE_REASONS.map((other) => presence(clocks, told(other), NOW).reason)
    const { state, reason: sentence, idle } = presence(clocks, told(reason), NOW)
    expect([state, idle]).toEqual(['idle', reason])
    expect(sentence).toMatch(/^[A-Z].*\.$/)
    expect(sentences.filter((other) => other === sentence)).toHaveLength(1)
  })
})
