import { chownSync, existsSync, mkdirSync, readlinkSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLaunchPad, type LaunchPad, THIS_BOOT } from './launch-rig.ts'

let pad: LaunchPad
beforeEach(() => {
  pad = createLaunchPad()
})
afterEach(() => pad.close())

const SYSTEMD = { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_PID: '1' }
const current = (): string | undefined => (existsSync(pad.at('current')) ? readlinkSync(pad.at('current')) : undefined)

/** Starts it, lets it say who it is, and stops it as systemd does. */
async function runs(env: Readonly<Record<string, string>> = {}): Promise<string> {
  const run = pad.launch(['run'], env)
  const { version } = await run.started()
  run.child.kill('SIGTERM')
  expect(await run.exited).toBe(0)
  return version
}

describe('the launcher', () => {
  test('becomes the version of the package, and keeps no process of its own', async () => {
    const run = pad.launch(['run', '--log-level', 'debug'], SYSTEMD)
    const told = await run.started()
    expect(told).toEqual({
      version: 'packaged',
      pid: run.child.pid,
      args: ['run', '--log-level', 'debug'],
      BRAMBLE_SLOT: 'packaged',
      BRAMBLE_MODELS: join(pad.home, 'models'),
      BRAMBLE_PACKAGED: pad.home,
      WATCHDOG_PID: '1',
    })
    run.child.kill('SIGTERM')
    expect(await run.exited).toBe(0)
  })

  test('becomes the version that was confirmed, with the models of the package or those that are set', async () => {
    pad.put('b', 'serves')
    pad.point('b')
    const run = pad.launch(['run', '--data', pad.data], { BRAMBLE_MODELS: '/mine', BRAMBLE_DATA: '/nowhere' })
    const told = await run.started()
    expect(told).toMatchObject({ version: 'in b', pid: run.child.pid, BRAMBLE_SLOT: 'b', BRAMBLE_MODELS: '/mine' })
  })

  test('runs every other command with the version that runs, and counts nothing', async () => {
    pad.put('a', 'crashes')
    pad.tryOut('a', 'packaged')
    const before = pad.factsOf('trial')
    for (let n = 0; n < 6; n += 1) {
      const run = pad.launch(['doctor'])
      expect(await run.exited).toBe(3)
      expect(run.told[0]?.version).toBe('in a')
    }
    expect(pad.factsOf('trial')).toEqual(before)
    expect(existsSync(pad.at('starts'))).toBe(false)
  })

  test.runIf(process.getuid?.() === 0)('runs nothing that another user may have put there', async () => {
    pad.put('a', 'serves')
    pad.point('a')
    chownSync(pad.software, 12_345, 12_345)
    expect(await runs()).toBe('packaged')
  })
})

describe('a version on trial', () => {
  test('is watched by a parent, is told to feed the watchdog, and a stop is no fault of it', async () => {
    pad.put('a', 'serves')
    pad.tryOut('a', 'packaged')
    for (let n = 0; n < 5; n += 1) {
      const run = pad.launch(['run'], SYSTEMD)
      const told = await run.started()
      expect(told.pid).not.toBe(run.child.pid)
      expect(told).not.toHaveProperty('WATCHDOG_PID')
      expect(pad.factsOf('trial')).toMatchObject({ boot: THIS_BOOT, bad: '0' })
      run.child.kill(n % 2 === 0 ? 'SIGTERM' : 'SIGINT')
      expect(await run.exited).toBe(0)
      expect(pad.factsOf('trial')).toMatchObject({ boot: '', bad: '0' })
    }
    expect(current()).toBe('a')
  })

  test.each(['packaged', 'b'] as const)('that crashes three times is given up, and %s runs again', async (before) => {
    pad.put('a', 'crashes')
    pad.put('b', 'serves')
    pad.tryOut('a', before)
    for (let n = 1; n <= 3; n += 1) {
      expect(current()).toBe('a')
      expect(await pad.launch(['run'], SYSTEMD).exited).toBe(3)
    }
    expect(current()).toBe(before === 'b' ? 'b' : undefined)
    expect(existsSync(pad.at('trial'))).toBe(false)
    expect(pad.factsOf('gone-back')).toEqual({
      release: 'release-a',
      version: 'in a',
      why: 'it ended 3 times before it had shown itself well, the last time with exit code 3',
    })
    expect(await runs(SYSTEMD)).toBe(before === 'b' ? 'in b' : 'packaged')
  })

  test('that is given up by hand makes way at once: nobody else would start what ran before', async () => {
    pad.put('a', 'crashes')
    pad.tryOut('a', 'packaged', { bad: '2' })
    const run = pad.launch()
    expect((await run.started(2)).version).toBe('packaged')
    expect(run.told[1]?.pid).toBe(run.child.pid)
  })

  test('that had to be killed is given up at the next start, with what it still lacked', async () => {
    pad.put('a', 'hangs')
    pad.tryOut('a', 'packaged')
    const run = pad.launch(['run'], SYSTEMD)
    await run.started()
    pad.append('doubt', 'it never got ready\n')
    run.killAll()
    await run.exited
    expect(await runs(SYSTEMD)).toBe('packaged')
    expect(pad.factsOf('gone-back')?.['why']).toBe(
      'it was killed as one that hangs, before it had shown itself well (it never got ready)',
    )
  })

  test('may lose the power twice, as a board on a bad supply does', async () => {
    pad.put('a', 'serves')
    pad.tryOut('a', 'packaged', { boot: 'another boot', pid: '1', bad: '1' })
    expect(await runs()).toBe('in a')
    expect(pad.factsOf('trial')).toMatchObject({ bad: '2', boot: '' })
    pad.tryOut('a', 'packaged', { boot: 'another boot', pid: '1', bad: '2' })
    expect(await runs()).toBe('packaged')
    expect(pad.factsOf('gone-back')?.['why']).toBe('3 starts ended before it had shown itself well')
  })

  test.each(['serves', 'hangs'] as const)('that %s and never confirms is given up in time', async (program) => {
    pad.put('a', program)
    pad.put('b', 'serves')
    pad.tryOut('a', 'b')
    pad.append('doubt', 'no heartbeat of it reached the broker\n')
    const run = pad.launch(['run'], { ...SYSTEMD, BRAMBLE_TRIAL_S: '1' })
    expect(await run.exited).toBe(program === 'serves' ? 0 : 137)
    expect(current()).toBe('b')
    expect(pad.factsOf('gone-back')?.['why']).toBe(
      'after 2 s it had not shown itself well (no heartbeat of it reached the broker)',
    )
    expect(existsSync(pad.at('doubt'))).toBe(false)
  })

  test('that confirms is kept, whatever becomes of that process', async () => {
    pad.put('a', 'confirms, then crashes')
    pad.tryOut('a', 'packaged', { bad: '2' })
    expect(await pad.launch(['run'], SYSTEMD).exited).toBe(3)
    expect(current()).toBe('a')
    expect(existsSync(pad.at('gone-back'))).toBe(false)
    expect(existsSync(pad.at('confirmed'))).toBe(true)
  })

  test('that confirms may run on behind its parent after the time of the trial', async () => {
    pad.put('a', 'confirms')
    pad.tryOut('a', 'packaged')
    const run = pad.launch(['run'], SYSTEMD)
    await run.started()
    // The alarm at the end of the time.
    run.child.kill('SIGUSR1')
    run.child.kill('SIGTERM')
    expect(await run.exited).toBe(0)
    expect(current()).toBe('a')
  })

  test('leaves the trial of its successor alone', async () => {
    pad.put('a', 'serves')
    pad.put('b', 'serves')
    pad.tryOut('a', 'packaged')
    const run = pad.launch(['run'], SYSTEMD)
    await run.started()
    // It confirmed itself, and has switched to the next version: another trial stands there now.
    pad.tryOut('b', 'a')
    const next = pad.factsOf('trial')
    run.child.kill('SIGTERM')
    expect(await run.exited).toBe(0)
    expect(pad.factsOf('trial')).toEqual(next)
    expect(await runs(SYSTEMD)).toBe('in b')
  })

  test('is not judged by a second agent on the same folder', async () => {
    pad.put('a', 'serves')
    pad.tryOut('a', 'packaged')
    const run = pad.launch(['run'], SYSTEMD)
    await run.started()
    const during = pad.factsOf('trial')
    const second = pad.launch()
    expect((await second.started()).version).toBe('in a')
    second.child.kill('SIGKILL')
    await second.exited
    expect(pad.factsOf('trial')).toEqual(during)
    run.child.kill('SIGTERM')
    expect(await run.exited).toBe(0)
    expect(current()).toBe('a')
  })

  test('counts only from its rename on: before, the power may have gone', async () => {
    pad.put('a', 'serves')
    pad.put('b', 'serves')
    pad.tryOut('a', 'packaged')
    pad.point('b')
    expect(await runs()).toBe('in b')
    expect(existsSync(pad.at('trial'))).toBe(false)
    expect(existsSync(pad.at('gone-back'))).toBe(false)
  })

  test('is given up when files of it are missing', async () => {
    pad.put('a', 'serves')
    pad.tryOut('a', 'packaged')
    rmSync(join(pad.at('a'), 'agent/main.js'))
    expect(await runs()).toBe('packaged')
    expect(pad.factsOf('gone-back')?.['why']).toBe('files of it are missing')
  })

  test('is not begun where its starts cannot be counted', async () => {
    pad.put('a', 'crashes')
    pad.put('b', 'serves')
    pad.tryOut('a', 'b')
    mkdirSync(pad.at('.trial.new'))
    expect(await runs()).toBe('in b')
    expect(current()).toBe('a')
  })

  test('goes back to the package where what ran before is damaged too', async () => {
    pad.put('a', 'crashes')
    pad.put('b', 'serves')
    truncateSync(join(pad.at('b'), 'agent/main.js'))
    pad.tryOut('a', 'b', { bad: '2' })
    expect(await pad.launch(['run'], SYSTEMD).exited).toBe(3)
    expect(await runs()).toBe('packaged')
  })
})

describe('a version that was confirmed', () => {
  beforeEach(() => {
    pad.write('confirmed', { slot: 'a', release: 'release-a', version: 'in a' })
    pad.point('a')
  })

  test('and crashes five times without getting ready makes way for the package, and the owner can be told', async () => {
    pad.put('a', 'crashes')
    for (let n = 0; n < 5; n += 1) expect(await pad.launch(['run'], SYSTEMD).exited).toBe(3)
    expect(await runs(SYSTEMD)).toBe('packaged')
    expect(pad.factsOf('gone-back')).toEqual({
      release: 'release-a',
      version: 'in a',
      why: 'it was started 5 times and never got ready: is the card damaged?',
    })
    expect(await runs(SYSTEMD)).toBe('packaged')
  })

  test('makes way for what ran before it, which reads the outbox as it wrote it, and that for the package', async () => {
    pad.write('confirmed', { slot: 'a', before: 'b', release: 'release-a', version: 'in a' })
    pad.put('a', 'crashes')
    pad.put('b', 'crashes')
    for (let n = 0; n < 5; n += 1) expect(await pad.launch(['run'], SYSTEMD).exited).toBe(3)
    const run = pad.launch(['run'], SYSTEMD)
    expect((await run.started()).version).toBe('in b')
    expect(await run.exited).toBe(3)
    expect(current()).toBe('b')
    for (let n = 0; n < 5; n += 1) expect(await pad.launch(['run'], SYSTEMD).exited).toBe(3)
    expect(await runs(SYSTEMD)).toBe('packaged')
  })

  test('makes way for the package where what ran before it is damaged too', async () => {
    pad.write('confirmed', { slot: 'a', before: 'b', release: 'release-a', version: 'in a' })
    pad.put('a', 'serves')
    pad.put('b', 'serves')
    for (const slot of ['a', 'b']) truncateSync(join(pad.at(slot), 'agent/main.js'))
    expect(await runs(SYSTEMD)).toBe('packaged')
  })

  test('and gets ready each time may crash as often as it likes', async () => {
    pad.put('a', 'gets ready, then crashes')
    for (let n = 0; n < 8; n += 1) expect(await pad.launch(['run'], SYSTEMD).exited).toBe(3)
    expect(current()).toBe('a')
  })

  test('whose files are gone makes way at once', async () => {
    pad.put('a', 'serves')
    rmSync(join(pad.at('a'), 'node'))
    expect(await runs(SYSTEMD)).toBe('packaged')
    expect(pad.factsOf('gone-back')?.['why']).toBe('files of it are missing: is the card damaged?')
    expect(current()).toBeUndefined()
  })
})
