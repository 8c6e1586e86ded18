import { describe, expect, it } from 'vitest'
import type { HeartbeatMessage, InfoMessage } from '../../broker/protocol/messages.ts'
import { addDrops, createDrops } from '../../console/fleet/drops.ts'
import { providerOf } from '../../console/routes/views/boards.ts'
import { type HealthFacts, healthOf } from '../../console/routes/views/health.ts'
import { createPulse } from '../../console/routes/views/pulse.ts'
import { inTokens } from '../../console/routes/views/tokens.ts'

const FINE: HealthFacts = {
  connected: true,
  broker: 'mqtt://127.0.0.1:1883',
  lost: 0,
  waiting: 0,
  boards: [{ name: 'calm-teal-owl', state: 'working', reason: 'Answered 1 s ago.' }],
  failedPayouts: 0,
  refused: [],
  troubles: [],
  walletChanges: [],
  token: { symbol: 'BRMB', decimals: 6, mint: 'mint' },
  treasury: { address: 'TREASURY', balance: '5', liabilities: '5', coverage: 1 },
  chainAnswers: true,
}
const CHANGE = {
  id: 1,
  payee: 'ann',
  address: 'WALLET',
  askedAt: '2026-11-22T08:30:00.000Z',
  effectiveAt: '2026-11-25T08:30:00.000Z',
}
const gone = { name: 'bold-oak-fox', state: 'offline', reason: 'Its connection ended 4 min ago.' } as const

const TABLE: readonly (readonly [string, Partial<HealthFacts>, string, RegExp])[] = [
  ['all is well', {}, 'ok', /^1 board online, 1 at work/],
  ['a task is lost', { lost: 2, connected: false }, 'problem', /^2 accepted tasks were never answered/],
  ['no broker', { connected: false }, 'problem', /not connected to the broker at mqtt:\/\/127.0.0.1:1883/],
  [
    'an empty treasury',
    { treasury: { address: 'TREASURY', balance: '1500000', liabilities: '3000000', coverage: 0.5 } },
    'problem',
    /holds 1.5 BRMB and owes 3 BRMB: send the rest to TREASURY/,
  ],
  ['a failed payout', { failedPayouts: 1 }, 'problem', /^1 payout failed today/],
  [
    'a wallet about to change',
    { walletChanges: [CHANGE], boards: [] },
    'attention',
    /^From 2026-11-25 08:30 UTC on, ann is paid at WALLET, and its present wallet has not agreed: /,
  ],
  [
    'a GPU that was wanted and is not used',
    {
      boards: [
        { ...FINE.boards[0]!, provider: { used: 'cpu', reason: 'nobody asked for its GPU' } },
        { ...FINE.boards[0]!, provider: { wanted: 'cuda', used: 'cpu', reason: 'cuda: its library is not installed' } },
      ],
    },
    'attention',
    /^1 board runs its models on cpu, not on cuda as wanted. calm-teal-owl: cuda: its library is not installed\.$/,
  ],
  ['no board yet', { boards: [] }, 'attention', /^No board is enrolled/],
  [
    'one board of two gone',
    { boards: [...FINE.boards, gone] },
    'attention',
    /^1 of 2 boards .* bold-oak-fox: Its conn/,
  ],
  ['every board gone', { boards: [gone], waiting: 7 }, 'problem', /^No board can be reached; 7 tasks wait/],
  [
    'a version that boards refuse',
    { refused: [{ model: 'fashion@1.1.0', boards: 2, reason: 'golden/coat.png differs' }], chainAnswers: false },
    'attention',
    /^2 boards refuse fashion@1\.1\.0 and go on with the version before: golden\/coat\.png differs\. Models/,
  ],
  [
    'a board that cannot work',
    {
      boards: [
        { name: 'bold-oak-fox', state: 'idle', reason: 'Its disk does not take results.', idle: 'disk-failing' },
      ],
    },
    'attention',
    /^1 of 1 board cannot work\. bold-oak-fox: Its disk does not take results\.$/,
  ],
  [
    'a board without work',
    { boards: [{ ...FINE.boards[0]!, state: 'idle', idle: 'no-work' }] },
    'ok',
    /^1 board online/,
  ],
  [
    'a weak power supply',
    { boards: [{ ...FINE.boards[0]!, flags: ['slowed', 'under-voltage', 'throttled'] }] },
    'attention',
    /^1 board is not well\. calm-teal-owl: its supply voltage drops too low, its firmware slows it\. Its page/,
  ],
  ['a warm board', { boards: [{ ...FINE.boards[0]!, flags: ['slowed'] }] }, 'ok', /^1 board online/],
  [
    'an outbox that was set aside',
    { boards: [{ ...FINE.boards[0]!, notice: 'On 2026-11-22 the outbox was set aside.' }] },
    'attention',
    /^1 board has a notice for you\. calm-teal-owl: On 2026-11-22 the outbox was set aside\.$/,
  ],
  ['a silent chain', { chainAnswers: false }, 'attention', /^The chain does not answer/],
]

describe('health', () => {
  it.each(TABLE)('says the worst that is true: %s', (_, facts, level, sentence) => {
    const health = healthOf({ ...FINE, ...facts })
    expect(health.level).toBe(level)
    expect(health.sentence).toMatch(sentence)
  })

  it('hides nothing behind a board that never comes back', () => {
    const refused = [{ model: 'fashion@1.1.0', boards: 1, reason: 'golden/coat.png differs' }]
    const { sentence, more } = healthOf({ ...FINE, boards: [...FINE.boards, gone], refused, chainAnswers: false })
    expect(sentence).toMatch(/^1 of 2 boards cannot be reached/)
    expect(more).toEqual([
      expect.stringMatching(/^1 board refuses fashion/),
      expect.stringMatching(/^The chain does not answer/),
    ])
    expect(healthOf(FINE).more).toEqual([])
  })
})

describe('the provider of a board', () => {
  it.each([
    [undefined, undefined],
    [{ wanted: [], used: 'cpu' }, undefined],
    [{ wanted: ['cuda', 'cpu'], used: 'cuda' }, undefined],
    [
      { wanted: ['cuda'], used: 'cpu', reason: 'x' },
      { wanted: 'cuda', used: 'cpu', reason: 'x' },
    ],
    [
      { wanted: [], used: 'cpu', reason: 'x' },
      { used: 'cpu', reason: 'x' },
    ],
  ])('is told where it is not what it should be: %j', (provider, told) => {
    const info = { provider } as unknown as InfoMessage
    expect(providerOf({ info })).toEqual(told)
  })
})

describe('an amount', () => {
  it('reads as tokens', () => {
    expect(['0', '1', '1500000', '1234567000000', '-250'].map((units) => inTokens(units, FINE.token))).toEqual([
      '0 BRMB',
      '0.000001 BRMB',
      '1.5 BRMB',
      '1,234,567 BRMB',
      '-0.00025 BRMB',
    ])
  })
})

describe('the pulse', () => {
  it('is the answers of the last ten whole seconds', () => {
    let now = 1_000_000
    const pulse = createPulse(() => now)
    for (let second = 0; second < 30; second++) {
      for (let answer = 0; answer < 5; answer++) pulse.answered()
      now += 1000
    }
    expect(pulse.perS()).toBe(5)
    now += 5000
    expect(pulse.perS()).toBe(2.5)
    now += 60_000
    expect(pulse.perS()).toBe(0)
    expect(pulse.total).toBe(150)
  })

  it('does not say 0 in the first seconds, when there is less to look back on', () => {
    let now = 1_000_000
    const pulse = createPulse(() => now)
    for (let answer = 0; answer < 6; answer++) pulse.answered()
    now += 2000
    expect(pulse.perS()).toBe(3)
  })

  it('draws five minutes of points', () => {
    let now = 1_000_000
    const pulse = createPulse(() => now)
    for (let tick = 0; tick < 200; tick++) {
      now += 2000
      pulse.answered()
      pulse.tick()
    }
    expect(pulse.history()).toHaveLength(150)
    expect(pulse.history().at(-1)).toEqual({ at: new Date(now).toISOString(), perS: 0.5 })
  })
})

describe('drops of boards', () => {
  const beat = (upS: number, drops: Record<string, number>) => ({ upS, drops }) as unknown as HeartbeatMessage

  it('are the differences between heartbeats, and start again when a board does', () => {
    const drops = createDrops()
    addDrops(drops, 'dev-a', beat(100, { 'newer-frame': 40 }), 100_000)
    expect(drops.totals()).toEqual({})
    addDrops(drops, 'dev-a', beat(130, { 'newer-frame': 43, busy: 1 }), 130_000)
    expect(drops.totals()).toEqual({ 'newer-frame': 3, busy: 1 })
    addDrops(drops, 'dev-a', beat(10, { 'newer-frame': 2 }), 160_000)
    expect(drops.totals()).toEqual({ 'newer-frame': 5, busy: 1 })
  })
})
