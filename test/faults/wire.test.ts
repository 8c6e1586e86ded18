// Real connections that fail under traffic: cut again and again, and half-open, where nobody says that they are gone.
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openWired } from './wired.ts'

/** So many as in test/slow meet each moment of the work more often. */
const CUTS = process.env['BRAMBLE_SLOW_TESTS'] === undefined ? 50 : 200

let wired: Awaited<ReturnType<typeof openWired>>
beforeEach(async () => {
  wired = await openWired()
  await wired.connectedAfter(0)
})
afterEach(() => wired.close())

describe('nothing is lost and nothing told twice differently', () => {
  it(`over ${CUTS} reconnects in a row`, async () => {
    let sent = 0
    for (let round = 1; round <= CUTS; round += 1) {
      for (let n = 0; n < 3; n += 1) {
        sent += 1
        wired.send(`task-${sent}`)
      }
      // A different moment of the work each time.
      if (round % 4 > 0) await wait(round % 4)
      wired.proxy.cut()
      await wired.connectedAfter(round)
    }
    await wired.settle()
    expect(wired.connects()).toBeGreaterThan(CUTS)
    expect(wired.verdict()).toEqual([])
  })

  it('over connections that carry nothing any more and do not end', async () => {
    let sent = 0
    for (let round = 1; round <= 2; round += 1) {
      for (let n = 0; n < 40; n += 1) {
        sent += 1
        wired.send(`task-${sent}`)
        if (n === 20) wired.proxy.freeze()
        await wait(5)
      }
      await wired.connectedAfter(round)
    }
    await wired.settle()
    expect(wired.verdict()).toEqual([])
  })
})
