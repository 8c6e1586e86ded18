import { describe, expect, it } from 'vitest'
import { createLog } from '../../agent/logger.ts'
import { LINES_PER_CAUSE } from '../../agent/logs/causes.ts'
import { createRing, RING_LINES } from '../../agent/logs/ring.ts'
import { createFakeClock } from './fake-clock.ts'

function openLog(level = 'info') {
  const lines: Record<string, unknown>[] = []
  const { clock, advance } = createFakeClock()
  const output = createLog({ level, clock, write: (line) => void lines.push(JSON.parse(line)) })
  return { ...output, lines, advance, messages: () => lines.map(({ msg }) => msg) }
}

describe('the log', () => {
  it('writes the same message a few times a minute, then counts it, and says at the end of the minute how many there were', async () => {
    const { log, advance, messages } = openLog()
    for (let i = 0; i < LINES_PER_CAUSE + 312; i += 1) log.warn({ i }, 'the disk is slow')
    log.info('something else')
    expect(messages()).toEqual([...Array(LINES_PER_CAUSE).fill('the disk is slow'), 'something else'])
    await advance(60_000)
    expect(messages().at(-1)).toBe('… and 312 more like this meanwhile: the disk is slow')
    log.warn('the disk is slow')
    expect(messages().at(-1)).toBe('the disk is slow')
  })

  it('keeps what was before two faults that go on for a month, one often and one slowly, and counts all of them', async () => {
    const { log, ring, advance, messages } = openLog()
    log.info('all was well')
    const HOURS = 30 * 24
    for (let n = 0; n < HOURS * 120; n += 1) {
      log.warn({ n }, 'the broker is away')
      if (n < 4_000) for (let more = 0; more < 20; more += 1) log.error('the disk is slow')
      await advance(30_000)
    }
    expect(ring.lines().some((line) => line.includes('all was well'))).toBe(true)
    await advance(HOURS * 3_600_000)
    log.info('and is again')
    const told = (text: string): number =>
      messages().reduce<number>((sum, msg) => {
        const more = /^… and (\d+) more like this meanwhile: (.*)$/.exec(String(msg))
        return sum + (msg === text ? 1 : more?.[2] === text ? Number(more[1]) : 0)
      }, 0)
    expect([told('the broker is away'), told('the disk is slow')]).toEqual([HOURS * 120, 80_000])
  })

  it('keeps causes apart by message and level, not by details, and never holds back a fatal line', () => {
    const { log, messages } = openLog()
    for (let i = 0; i < 3 * LINES_PER_CAUSE; i += 1) {
      log.info({ i }, 'a')
      log.warn({ i }, 'a')
      log.error(new Error('broken'))
      log.fatal('the end')
    }
    const count = (text: string) => messages().filter((msg) => msg === text).length
    expect([count('a'), count('broken'), count('the end')]).toEqual([
      2 * LINES_PER_CAUSE,
      LINES_PER_CAUSE,
      3 * LINES_PER_CAUSE,
    ])
  })

  it('has a limit also where every message is another one', () => {
    const { log, lines, endMinute } = openLog()
    for (let i = 0; i < 5_000; i += 1) log.info(`frame ${i} is odd`)
    expect(lines.length).toBeLessThan(250)
    endMinute()
    expect(lines.at(-1)!['msg']).toContain('other messages')
  })

  it('does nothing at all for a line below its level', () => {
    const { log, lines, ring } = openLog('info')
    let asked = 0
    const details = {
      get cost() {
        asked += 1
        return 1
      },
    }
    for (let i = 0; i < 100; i += 1) log.debug(details, 'detail')
    expect({ asked, lines: lines.length, ring: ring.lines().length }).toEqual({ asked: 0, lines: 0, ring: 0 })
  })

  it('does not show secrets, wherever they stand', () => {
    const { log, ring } = openLog('trace')
    log.info({ password: 'geheim', config: { token: 'geheim', credential: 'geheim' } }, 'a')
    log.info({ url: 'mqtt://me:geheim@broker:1883' }, 'b')
    log.child({ part: 'x' }).debug({ jwt: 'geheim' }, 'c')
    expect(ring.lines().join('')).not.toContain('geheim')
    expect(ring.lines().join('')).toContain('mqtt://broker:1883')
  })
})

describe('the ring of the last lines', () => {
  it('keeps 500, oldest first', () => {
    const ring = createRing()
    for (let i = 0; i < RING_LINES + 7; i += 1) ring.add(`{"msg":"${i}"}\n`)
    expect(ring.lines().length).toBe(500)
    expect([ring.lines()[0], ring.lines().at(-1)]).toEqual(['{"msg":"7"}\n', '{"msg":"506"}\n'])
  })

  it('cuts a long line down to what it says', () => {
    const ring = createRing()
    ring.add(`${JSON.stringify({ level: 50, time: 't', stack: 'x'.repeat(10_000), msg: 'it broke' })}\n`)
    expect(JSON.parse(ring.lines()[0]!)).toMatchObject({ level: 50, time: 't', msg: 'it broke' })
    expect(ring.lines()[0]!.length).toBeLessThan(200)
  })
})
