// The faults of test/faults on a real agent process, with the times a board has. Each ends the same way: every accepted
// task answered once, every receipt arrived once.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openReal, type Real } from '../faults/real.ts'

const HOUR = 3_600_000

let real: Real
beforeEach(async () => {
  real = await openReal()
})
afterEach(() => real.close())

describe('a real agent under traffic', { timeout: 120_000 }, () => {
  it('loses nothing while its broker cannot be reached for 20 s', async () => {
    await real.traffic(3)
    real.reachable(false)
    await real.traffic(20)
    real.reachable(true)
    await real.traffic(3)
    await real.settle()
    expect(real.verdict()).toEqual([])
  })

  it('notices by itself that a connection carries nothing any more, and loses nothing', async () => {
    await real.traffic(3)
    const from = real.board.ear.heard.length
    real.proxy.freeze()
    await real.traffic(5)
    await real.board.status('online', from)
    await real.traffic(2)
    await real.settle()
    expect(real.verdict()).toEqual([])
  })

  it('ends within 5 s of SIGTERM in the middle of its work, and the next one has nothing to answer for', async () => {
    await real.relaunch()
    for (let round = 0; round < 3; round += 1) {
      const agent = await real.relaunch()
      await agent.said('"serving"')
      await real.traffic(3, 60)
      const asked = performance.now()
      agent.child.kill('SIGTERM')
      expect(await agent.exited).toBe(0)
      expect(performance.now() - asked).toBeLessThan(5_000)
    }
    await (await real.relaunch()).said('"serving"')
    await real.settle()
    expect(real.verdict()).toEqual([])
  })

  it('does not mind its clock being set an hour back and a day forward, nor starting with such a clock', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'clock-'))
    const file = join(folder, 'shift')
    const preload = fileURLToPath(new URL('../faults/shift-clock.js', import.meta.url))
    const env = { ...process.env, NODE_OPTIONS: `--import=${preload}`, SHIFT_CLOCK_FILE: file }
    async function worksWith(shift: number): Promise<void> {
      const from = real.board.ear.heard.length
      await real.traffic(3)
      const answer = await real.board.ear.find(
        ({ topic, payload }) => (topic.kind === 'device-out' ? JSON.parse(payload.toString()) : undefined),
        from + 60,
      )
      expect(Math.abs(Date.parse(answer.at) - Date.now() - shift)).toBeLessThan(60_000)
    }
    try {
      let agent = await real.relaunch([], env)
      await agent.said('"serving"')
      for (const shift of [0, -HOUR, 24 * HOUR, 0]) {
        writeFileSync(file, String(shift))
        agent.child.kill('SIGUSR2')
        await worksWith(shift)
      }
      for (const shift of [-HOUR, 24 * HOUR]) {
        writeFileSync(file, String(shift))
        agent = await real.relaunch([], env)
        await agent.said('"serving"')
        await worksWith(shift)
      }
      await real.settle()
      expect(real.verdict()).toEqual([])
      const errors = real.answers().flatMap(({ payload }) => JSON.parse(payload).error?.code ?? [])
      expect(errors, 'no lease is over because this clock says so').not.toContain('expired')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('loses nothing to kill -9, five times in a row', async () => {
    for (let round = 0; round < 5; round += 1) {
      const agent = await real.relaunch()
      await agent.said('"serving"')
      await real.traffic(1 + round / 3, 40)
      agent.child.kill('SIGKILL')
      await agent.exited
    }
    await (await real.relaunch()).said('"serving"')
    await real.settle()
    expect(real.verdict()).toEqual([])
  })
})
