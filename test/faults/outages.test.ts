// What the network and the clock can do to a board under full traffic, in virtual time. Each ends the same way: every
// accepted task answered once, every receipt arrived once.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWorld, type World } from './world.ts'

const HOUR = 3_600_000
/** Ten minutes are played by test/slow: what is new in the later ones is their number. */
const MINUTES = process.env['BRAMBLE_SLOW_TESTS'] === undefined ? 2 : 10

let world: World
let sent = 0
beforeEach(async () => {
  sent = 0
  world = await createWorld()
})
afterEach(() => world.close())

/** A board that takes 20 ms a frame and three at a time is busy with 100 tasks a second. */
async function traffic(seconds: number, perS = 100): Promise<void> {
  for (let n = 0; n < seconds * perS; n += 1) {
    sent += 1
    world.send(`task-${sent}`)
    await world.advance(1_000 / perS)
  }
}

async function expectNothingLost(): Promise<void> {
  await world.settle()
  expect(world.verdict()).toEqual([])
  expect(world.buffer().owed()).toBe(0)
  expect(new Set(world.answers.map(({ task }) => task)).size).toBe(sent)
}

describe('under full traffic, nothing is lost and nothing told twice differently', () => {
  it(`while nothing leaves the board for ${MINUTES} minutes`, { timeout: 180_000 }, async () => {
    world.close()
    // Long leases: what is sent again is known here, and 60,000 tasks every five seconds would be most of the work.
    world = await createWorld({ leaseMs: 60_000 })
    await traffic(2)
    world.network('mute')
    await traffic(10)
    // Noticed: from now on every publish fails, and frames still come.
    world.network('off')
    world.network('mute')
    await traffic(MINUTES * 60 - 10)
    expect(world.buffer().owed()).toBeGreaterThan(MINUTES * 6_000)
    world.network('off')
    world.network('on')
    await expectNothingLost()
    expect(sent).toBe(MINUTES * 6_000 + 200)
  })

  it.each(['half-open', 'deaf'] as const)('when the connection is %s for ten seconds, again and again', async (how) => {
    for (let round = 0; round < 5; round += 1) {
      await traffic(1)
      world.network(how)
      await traffic(2)
      await world.advance(8_000)
      world.network('off')
      await world.advance(1_000)
      world.network('on')
    }
    await traffic(1)
    await expectNothingLost()
  })

  it('when the connection is lost 200 times in a row', async () => {
    for (let round = 0; round < 200; round += 1) {
      await traffic(0.05)
      world.network(round % 2 === 0 ? 'deaf' : 'off')
      await world.advance(round % 20)
      world.network('off')
      world.network('on')
    }
    await expectNothingLost()
  })

  it.each([
    ['an hour back', -HOUR],
    ['a day forward', 24 * HOUR],
  ])('when the clock is set %s, also with tasks that come again', async (_, jump) => {
    await traffic(2)
    world.setClock(jump)
    await traffic(1)
    world.network('off')
    world.setClock(jump)
    await world.advance(2_000)
    world.network('on')
    await traffic(1)
    await world.settle()
    expect(world.refused, 'no lease is over because this clock says so').not.toHaveProperty('expired')
    const before = world.batches.length
    for (let n = 1; n <= sent; n += 1) world.send(`task-${n}`)
    await world.advance(5_000)
    expect(world.batches.length, 'no task was run a second time').toBe(before)
    await expectNothingLost()
  })

  it('when the agent is started anew in the middle of it, with another clock', async () => {
    await traffic(1)
    world.network('mute')
    await traffic(1)
    world.restart()
    world.setClock(-HOUR)
    world.network('off')
    world.restart()
    world.network('on')
    await traffic(1)
    await expectNothingLost()
  })

  it('when a publish is refused although the connection stays', async () => {
    await traffic(1)
    world.network('mute')
    await world.advance(100)
    // The one refusal reaches the board; nobody says that the connection is gone.
    world.refuse()
    world.network('on')
    await traffic(1)
    await expectNothingLost()
  })
})
