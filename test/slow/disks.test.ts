// Real file systems that are full, read-only or damaged under a real agent. What a machine does not let a test do is skipped
// with the reason.
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HeartbeatMessage, InfoMessage } from '../../broker/protocol/messages.ts'
import { killed } from '../agent/board.ts'
import { launch, openReal, type Real, type Started } from '../faults/real.ts'

const COFFEE = fileURLToPath(new URL('../../models/mobilenet-v1/golden/coffee.jpg', import.meta.url))
const COAT = fileURLToPath(new URL('../../models/fashion/golden/coat.png', import.meta.url))
const MAIN = fileURLToPath(new URL('../../agent/main.ts', import.meta.url))

const fails = (program: string, ...args: string[]): string | undefined => {
  try {
    execFileSync(program, args, { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `${program} ${args.join(' ')}: ${error instanceof Error ? error.message.split('\n').at(-1) : error}`
  }
}
const NO_NAMESPACE = fails('unshare', '-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt')
const NO_LOOP = process.getuid?.() === 0 ? fails('losetup', '-f') : 'only root may mount a file system of its own'

let real: Real

const beat = (fits: (beat: HeartbeatMessage) => boolean, from: number) =>
  real.board.ear.find(({ topic, payload }) => {
    const said = topic.kind === 'heartbeat' ? HeartbeatMessage.parse(JSON.parse(payload.toString())) : undefined
    return said && fits(said) ? said : undefined
  }, from)

const heardBusy = (from: number) =>
  real.board.ear.find(({ topic, payload }) => {
    const { error } = topic.kind === 'device-out' ? JSON.parse(payload.toString()) : {}
    return error?.code === 'busy' && /disk/.test(error.message) ? error : undefined
  }, from)

async function goesOnWithout(ballast: string, agent: Started): Promise<void> {
  rmSync(ballast)
  await agent.said('takes results again')
  await real.traffic(2)
  await real.settle()
  expect(real.verdict()).toEqual([])
}

/** Shell: the folder as it is, on a disk of 8 MB of its own that only this agent sees. */
const onSmallDisk = (folder: string): string =>
  `cp -a ${folder} ${folder}-copy && mount -t tmpfs -o size=8m tmpfs ${folder} && cp -a ${folder}-copy/. ${folder}/`

describe('a disk under a real agent', { timeout: 180_000 }, () => {
  beforeEach(async () => {
    real = await openReal()
    await real.traffic(1)
    await real.settle()
    await killed(real.board.agent().child)
  })
  afterEach(() => real.close())

  it('that fills up: it says so, keeps its heartbeat, loses nothing, and goes on by itself', async ({ skip }) => {
    skip(NO_NAMESPACE !== undefined, `no mounts here: ${NO_NAMESPACE}`)
    const { folder } = real.board
    const mount = `${onSmallDisk(folder)} && exec "$@"`
    try {
      const agent = await real.relaunch(['unshare', '-rm', 'sh', '-c', mount, 'sh'])
      await agent.said('"serving"')
      await real.traffic(1)
      const inside = join('/proc', String(agent.child.pid), 'root', folder, 'ballast')
      const from = real.board.ear.heard.length
      expect(() => writeFileSync(inside, Buffer.alloc(16 << 20))).toThrow(/ENOSPC/)
      await real.traffic(8, 60)
      await heardBusy(from)
      await beat(({ idle }) => idle === 'disk-failing', from)
      await goesOnWithout(inside, agent)
    } finally {
      rmSync(`${folder}-copy`, { recursive: true, force: true })
    }
  })

  it('that is full when it starts: it stays up, answers streams, says what is wrong, and goes on by itself', async ({
    skip,
  }) => {
    skip(NO_NAMESPACE !== undefined, `no mounts here: ${NO_NAMESPACE}`)
    const { folder } = real.board
    const mount = `${onSmallDisk(folder)}
      head -c 16M /dev/zero > ${folder}/ballast; exec "$@"`
    try {
      const from = real.board.ear.heard.length
      const agent = await real.relaunch(['unshare', '-rm', 'sh', '-c', mount, 'sh'])
      await agent.said('"serving"')
      // Not so many that, asked again all at once, they leave the requester's connection no room for a live picture.
      await real.traffic(2, 60)
      await heardBusy(from)
      await beat(({ idle }) => idle === 'disk-failing', from)
      const frame = real.board.ear.heard.length
      await real.board.send('mobilenet-v1', undefined, readFileSync(COFFEE))
      expect(await real.board.answer('mobilenet-v1', undefined, frame)).toHaveProperty('result')
      await goesOnWithout(join('/proc', String(agent.child.pid), 'root', folder, 'ballast'), agent)
    } finally {
      rmSync(`${folder}-copy`, { recursive: true, force: true })
    }
  })

  it('that turns read-only: nothing is lost; SIGTERM ends it in time; started on it, it says why not', async ({
    skip,
  }) => {
    skip(NO_LOOP !== undefined, `no file system here: ${NO_LOOP}`)
    const { folder } = real.board
    const image = `${folder}.img`
    execFileSync('dd', ['if=/dev/zero', `of=${image}`, 'bs=1M', 'count=32', 'status=none'])
    execFileSync('mkfs.ext4', ['-q', '-F', image])
    const moved = `${folder}-moved`
    execFileSync('cp', ['-a', folder, moved])
    execFileSync('mount', ['-o', 'loop,errors=remount-ro', image, folder])
    try {
      execFileSync('sh', ['-c', `cp -a ${moved}/. ${folder}/ && sync -f ${folder}`])
      const agent = await real.relaunch()
      await agent.said('"serving"')
      await real.traffic(1)
      // Refused for a while: the agent goes on by itself.
      const from = real.board.ear.heard.length
      for (const flag of ['+i', '-i']) {
        execFileSync('sh', ['-c', `chattr ${flag} ${folder}/buffer.db ${folder}/buffer.db-wal`])
        await real.traffic(5)
      }
      await heardBusy(from)
      await agent.said('takes results again')
      // As ext4 does when a card fails: read-only from one write to the next.
      execFileSync('mount', ['-o', 'remount,abort', folder])
      await real.traffic(5)
      await heardBusy(real.board.ear.heard.length - 20)
      const asked = performance.now()
      agent.child.kill('SIGTERM')
      expect(await agent.exited).toBe(0)
      expect(performance.now() - asked).toBeLessThan(5_000)
      const refused = await real.relaunch()
      await refused.said('read-only')
      expect(await refused.exited).toBe(2)
      // Repaired.
      execFileSync('umount', [folder])
      fails('e2fsck', '-fy', image)
      execFileSync('mount', ['-o', 'loop', image, folder])
      await (await real.relaunch()).said('"serving"')
      await real.settle()
      expect(real.verdict()).toEqual([])
    } finally {
      await real.relaunch().then(({ child }) => killed(child))
      fails('umount', folder)
      for (const left of [image, moved]) rmSync(left, { recursive: true, force: true })
    }
  })

  it('that damages the outbox: the agent ends, the next one sets it aside, tells its owner and works', async () => {
    const agent = await real.relaunch()
    await agent.said('"serving"')
    real.board.acking(false)
    await real.traffic(20, 60)
    const file = join(real.board.folder, 'buffer.db')
    await killed(agent.child)
    // Enough is in the file itself only when its log was copied: a start does that.
    const next = await real.relaunch()
    await next.said('"serving"')
    const handle = openSync(file, 'r+')
    for (let at = 16 * 1024; at < statSync(file).size; at += 2 * 1024)
      writeSync(handle, Buffer.alloc(1024, 0x5a), 0, 1024, at)
    closeSync(handle)
    real.board.acking(true)
    await real.traffic(4, 60)
    expect(await next.exited).toBe(1)
    const from = real.board.ear.heard.length
    const third = await real.relaunch()
    await third.said('set aside')
    await third.said('"serving"')
    const info = await real.board.ear.find(
      ({ topic, payload }) => (topic.kind === 'info' ? InfoMessage.parse(JSON.parse(payload.toString())) : undefined),
      from,
    )
    expect(info.notices?.[0]).toMatch(/the outbox was damaged and was set aside as buffer\.db\.damaged-/)
    await real.traffic(2)
    const chains = new Set(real.board.batches().map(({ chain }) => chain))
    await expect.poll(() => new Set(real.board.batches().map(({ chain }) => chain)).size, { timeout: 20_000 }).toBe(2)
    expect(chains.size).toBeLessThanOrEqual(2)
  })
})

describe('a data folder that cannot be written', { timeout: 60_000 }, () => {
  it.for([
    ['is read-only', 'its disk is read-only', 'ro', ':'],
    ['is full', 'identity.key cannot be written: its disk is full', 'size=4k', 'head -c 4096 /dev/zero > taken'],
    ['has no room for an outbox', 'buffer.db cannot be written: its disk is full', 'size=4k', ':'],
  ] as const)('because its disk %s: one sentence and exit code 2', async ([, sentence, options, fill], { skip }) => {
    skip(NO_NAMESPACE !== undefined, `no mounts here: ${NO_NAMESPACE}`)
    const folder = mkdtempSync(join(tmpdir(), 'unwritable-'))
    try {
      // Nobody but this shell sees its mount: it tells what is left there.
      const shell = `mount -t tmpfs -o ${options} tmpfs ${folder} && (cd ${folder} && ${fill}) || exit 1
        "$@"; code=$?; find ${folder} -type f -printf 'left %P\\n'; exit $code`
      const plain = ['--device', 'cam1', '--mqtt-url', 'mqtt://127.0.0.1:1', '--data', folder]
      const { NODE_COMPILE_CACHE, ...env } = process.env
      const agent = launch(['unshare', '-rm', 'sh', '-c', shell, 'sh', process.execPath, MAIN, 'run', ...plain], env)
      await agent.said(sentence)
      expect(await agent.exited).toBe(2)
      // A full disk is not filled further with every start: Node's compiled code left a thousand empty files each time.
      const left = agent.lines().flatMap((line) => (line.startsWith('left ') ? [line.slice('left '.length)] : []))
      expect(left.filter((file) => !['identity.key', 'buffer.db', 'taken'].includes(file))).toEqual([])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('a home folder without room', { timeout: 60_000 }, () => {
  it('is not filled with compiled code by each start of the inference process', async ({ skip }) => {
    skip(NO_NAMESPACE !== undefined, `no mounts here: ${NO_NAMESPACE}`)
    const home = mkdtempSync(join(tmpdir(), 'home-'))
    try {
      const shell = `mount -t tmpfs -o size=64k tmpfs ${home} && head -c 60000 /dev/zero > ${home}/taken && "$@"
        find ${home} -type f -printf 'left %P\\n'`
      const { NODE_COMPILE_CACHE, ...env } = process.env
      const infer = [process.execPath, MAIN, 'infer', COAT, '--model', 'fashion', '--data', home]
      const agent = launch(['unshare', '-rm', 'sh', '-c', shell, 'sh', ...infer], { ...env, HOME: home })
      await agent.said('left')
      await agent.exited
      expect(agent.lines().filter((line) => line.startsWith('left '))).toEqual(['left taken'])
      expect(agent.lines().join(' ')).toMatch(/coat/i)
    } finally {
      rmSync(home, { recursive: true })
    }
  })
})
