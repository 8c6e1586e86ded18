// The power may go before any change that the launcher makes: every one of them is taken away once, together with all after it.
import { chmodSync, existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createLaunchPad, type LaunchPad } from './launch-rig.ts'

const SYSTEMD = { NOTIFY_SOCKET: '/run/systemd/notify' }
const pads: LaunchPad[] = []
afterEach(() => {
  for (const pad of pads.splice(0)) pad.close()
})

const newPad = (): LaunchPad => {
  const pad = createLaunchPad()
  pads.push(pad)
  return pad
}

/** Programs by which the launcher changes something; the n-th call ends all of it instead. */
function deadlyPath(pad: LaunchPad, killAt: number): Readonly<Record<string, string>> {
  const folder = join(pad.folder, 'deadly')
  mkdirSync(folder)
  writeFileSync(join(folder, 'count'), '0')
  for (const name of ['cat', 'ln', 'mv', 'rm', 'sync']) {
    const script = `#!/bin/sh
read -r n <${folder}/count
echo $((n + 1)) >${folder}/count
if [ "$n" -ge ${killAt} ]; then kill -KILL 0; fi
exec /bin/${name} "$@"
`
    writeFileSync(join(folder, name), script)
    chmodSync(join(folder, name), 0o755)
  }
  return { ...SYSTEMD, PATH: `${folder}:${process.env['PATH']}` }
}

/** As the service manager does it: again and again, until something serves. Answers what. */
async function untilServing(pad: LaunchPad, crashing?: string): Promise<string> {
  for (let n = 0; n < 6; n += 1) {
    const run = pad.launch(['run'], SYSTEMD)
    const { version } = await run.started()
    if (version !== crashing) run.child.kill('SIGTERM')
    if ((await run.exited) === 0) return version
  }
  throw new Error('nothing serves')
}

const GONE_BACK = { release: 'release-a', version: 'in a' }

async function eachKill(prepare: (pad: LaunchPad) => void, judge: (pad: LaunchPad, killAt: number) => Promise<void>) {
  for (let killAt = 0; ; killAt += 1) {
    const pad = newPad()
    prepare(pad)
    const run = pad.launch(['run'], deadlyPath(pad, killAt))
    const code = await run.exited
    await judge(pad, killAt)
    const changes = Number(readFileSync(join(pad.folder, 'deadly/count'), 'utf8'))
    if (code !== 'SIGKILL') return changes
  }
}

test('a launcher that is cut off while it gives up a version has given it up after the next starts', async () => {
  const changes = await eachKill(
    (pad) => {
      pad.put('a', 'crashes')
      pad.put('b', 'serves')
      pad.tryOut('a', 'b', { bad: '2' })
    },
    async (pad, killAt) => {
      expect(await untilServing(pad, 'in a'), `killed at ${killAt}`).toBe('in b')
      expect(readlinkSync(pad.at('current')), `killed at ${killAt}`).toBe('b')
      expect(existsSync(pad.at('trial'))).toBe(false)
      expect(pad.factsOf('gone-back'), `killed at ${killAt}`).toMatchObject(GONE_BACK)
    },
  )
  // The start is written down, then the verdict; the way back; what was given up; and the trial is removed.
  expect(changes).toBeGreaterThanOrEqual(16)
})

test('a launcher that is cut off while it falls back from a damaged version does so at the next start', async () => {
  const changes = await eachKill(
    (pad) => {
      pad.put('a', 'crashes')
      pad.write('confirmed', { slot: 'a', release: 'release-a', version: 'in a' })
      pad.append('starts', 'a 5\n')
      pad.point('a')
      pad.pack('crashes')
    },
    async (pad, killAt) => {
      pad.pack('serves')
      expect(await untilServing(pad), `killed at ${killAt}`).toBe('packaged')
      expect(existsSync(pad.at('current'))).toBe(false)
      expect(pad.factsOf('gone-back'), `killed at ${killAt}`).toMatchObject(GONE_BACK)
    },
  )
  expect(changes).toBeGreaterThanOrEqual(7)
})

test('a launcher that is cut off while it notes a start runs the version all the same', async () => {
  const changes = await eachKill(
    (pad) => {
      pad.put('a', 'crashes')
      pad.write('confirmed', { slot: 'a', release: 'release-a', version: 'in a' })
      pad.point('a')
    },
    async (pad, killAt) => {
      pad.put('a', 'serves')
      expect(await untilServing(pad), `killed at ${killAt}`).toBe('in a')
    },
  )
  expect(changes).toBe(4)
})
