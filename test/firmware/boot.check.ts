// The image of `npm run firmware:image` on an emulated board with 512 MB: from bramble.toml to answered photos, through power cuts
// while tasks flow, to a clean end. A real console and a real requester beside it; nothing on the card but what an owner gets.
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { encode } from 'cborg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Device, LedgerCheck, SoftwareView } from '../../console/routes/shapes.ts'
import { type Bramble, ROOT, removeFolder, startBramble } from '../harness/bramble.ts'
import { startPipeline } from '../harness/pipeline.ts'
import { createRandom } from '../harness/random.ts'
import { BUILD, buildImage, IMAGE } from './built.ts'
import { expectGolden, expectWrittenDigest, type Inferred, MODELS, manifestOf } from './goldens.ts'
import { addShell, type Guest, HOST_AS_SEEN, partsOf, startGuest } from './guest.ts'
import { memoryOf } from './memory.ts'
import { foundIn, tracesOfThisMachine } from './traces.ts'
import { takeTurn } from './turns.ts'
import { createVersions, PUBLISHER } from './versions.ts'

const CUTS = 10
/** One more than a board holds at once: what the cut before left half done is answered before the next one. */
const LEAST_ANSWERS = 9
const OPEN_TASKS = 16
const HOUR = 3_600_000
/** Another one tries other moments; the one that was used is printed. */
const SEED = Number(process.env['BRAMBLE_SEED'] ?? 7)
const FLAGS = ['--agents', '0', '--no-demo', '--hold-s', '1', '--settle-every-s', '86400']

/** Until the cuts are over no other board is emulated: this one is the longest, and then it mostly waits. */
let letOthers: () => Promise<void>
let work: string
let card: string
let bramble: Bramble
let guest: Guest | undefined

/** A card of 2 GB with the image on it and the owner's file on its boot partition. */
async function writeCard(): Promise<void> {
  execFileSync('cp', ['--sparse=always', `${IMAGE}.img`, card])
  truncateSync(card, 2 * 2 ** 30)
  addShell(card, work)
  const { token } = await bramble.api<{ token: string }>('/api/enrollments', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  const url = bramble.ready.console.url.replace('127.0.0.1', HOST_AS_SEEN)
  writeFileSync(join(work, 'bramble.toml'), `console = "${url}"\r\ntoken = "${token}"\r\nname = "porch"\r\n`)
  execFileSync('mcopy', ['-i', `${card}@@${partsOf(card)[0]!.start * 512}`, join(work, 'bramble.toml'), '::/'])
}

const boot = async (): Promise<Guest> => {
  guest = await startGuest({ card, stem: IMAGE, work })
  return guest
}

const device = async (): Promise<Device | undefined> => (await bramble.api<Device[]>('/api/devices'))[0]

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'bramble-guest-'))
  card = join(work, 'card.img')
  await buildImage()
  letOthers = await takeTurn('emulator')
  bramble = await startBramble({ flags: [...FLAGS, '--public-url', `http://${HOST_AS_SEEN}`] })
  await writeCard()
  await boot()
})
afterAll(async () => {
  await guest?.cut()
  await letOthers()
  await bramble.stop()
  await removeFolder(bramble.data)
  rmSync(work, { recursive: true })
})

test('the image and its list belong together, and neither names the machine that built them', async () => {
  const unpacked = createHash('sha256')
  const xz = spawn('xz', ['--decompress', '--stdout', `${IMAGE}.img.xz`], { stdio: ['ignore', 'pipe', 'inherit'] })
  await pipeline(xz.stdout, unpacked)
  const [entry] = JSON.parse(readFileSync(join(BUILD, 'os-list.json'), 'utf8')).os_list
  expect(entry.extract_sha256).toBe(unpacked.digest('hex'))
  expect(entry.extract_size).toBe(statSync(`${IMAGE}.img`).size)
  expect(entry.image_download_size).toBe(statSync(`${IMAGE}.img.xz`).size)
  // Debian's own address is there, so that a search that finds nothing would be noticed.
  expect(foundIn(`${IMAGE}.img`, ['deb.debian.org', ...tracesOfThisMachine()])).toEqual(['deb.debian.org'])
})

test('the board grows its data partition, enrols from its boot partition and erases the token', async () => {
  const { sh, console: said } = guest!
  await expect
    .poll(async () => (await device())?.models.toSorted(), { timeout: 240_000, interval: 1_000 })
    .toEqual(MODELS)
  await expect.poll(() => sh('systemctl is-active bramble-agent'), { timeout: 60_000 }).toBe('active')
  const folder = '/boot/firmware'
  await expect.poll(() => sh(`findmnt -n -o OPTIONS ${folder}`), { timeout: 60_000 }).toMatch(/^ro,/)
  expect(await sh(`cat ${folder}/bramble.toml`)).toMatch(
    /^console = "http:\/\/10\.0\.2\.2:\d+"\s+token = "" +\s+name = "porch"$/,
  )
  expect(await sh(`cat ${folder}/bramble-status.txt`)).toMatch(/^This board is in: enrolled as \S+ \(\S+\)/)
  expect(await sh('hostname')).toBe('porch')
  await expect.poll(() => sh('df -BM --output=size /data | tail -1'), { timeout: 60_000 }).toMatch(/^1[0-9]{3}M$/)
  expect(said()).toContain('bramble: e2fsck of the data partition ended with 0')
})

test('nothing but the data partition can be written, and limits and watchdogs are in force', async () => {
  const { sh } = guest!
  expect(await sh('touch /usr/x; touch /boot/firmware/x')).toMatch(/^(touch: .*: Read-only file system\n?){2}$/)
  expect(await sh('findmnt -n -o OPTIONS /data')).toMatch(/^rw,nosuid,nodev,noatime,.*data=ordered/)
  const service = await sh('systemctl show bramble-agent -p MemoryMax -p WatchdogUSec -p NRestarts')
  const limit = Number(/^MemoryMax=(\d+)$/m.exec(service)?.[1])
  expect(limit / 2 ** 20).toBeGreaterThan(300)
  expect(limit / 2 ** 20).toBeLessThan(410)
  expect(service).toMatch(/^WatchdogUSec=1min$/m)
  expect(service).toMatch(/^NRestarts=0$/m)
  // What the kernel holds it to.
  expect(await sh('cat /sys/fs/cgroup/system.slice/bramble-agent.service/memory.max')).toBe(String(limit))
  expect(await sh('systemctl show -p RuntimeWatchdogUSec')).toBe('RuntimeWatchdogUSec=15s')
  expect(await sh('cd /sys/class/watchdog/watchdog0; cat identity state timeout')).toBe('i6300ESB timer\nactive\n15')
})

test('photos, sounds and series are answered as on the machine that made the golden answers', async () => {
  const { url, token } = bramble.ready.console
  for (const model of MODELS) {
    const manifest = manifestOf(ROOT, model)
    for (const [index, { frame }] of manifest.golden.entries()) {
      const body = readFileSync(join(ROOT, 'models', model, frame.path))
      const headers = { authorization: `Bearer ${token}` }
      const answer = await fetch(`${url}/api/tasks?model=${model}&wait=1`, { method: 'POST', headers, body })
      const inferred = (await answer.json()) as Inferred
      expect(answer.status, `${model} ${frame.path}: ${JSON.stringify(inferred)}`).toBe(200)
      expectGolden(inferred, manifest, index)
      if (index === 0) expectWrittenDigest('guest', model, inferred.digest)
    }
  }
})

test('both processes together stay within 200 MB after every model has run', async () => {
  const { rss, pss } = await memoryOf(guest!)
  process.stdout.write(`agent and inference process: ${rss.toFixed(0)} MB resident, ${pss.toFixed(0)} proportional\n`)
  expect(rss).toBeGreaterThan(50)
  expect(rss).toBeLessThanOrEqual(200)
})

interface Asked {
  readonly model: string
  readonly digest: string
}

const framesOf = (model: string) =>
  manifestOf(ROOT, model).golden.map(({ frame, digest }) => ({
    model,
    digest,
    data: readFileSync(join(ROOT, 'models', model, frame.path)),
  }))

/** A requester that always has tasks open until it is told to stop. */
async function startFlow(random: () => number) {
  const requester = await startPipeline(bramble.ready)
  const small = ['fashion', 'vibration-ae'].flatMap(framesOf)
  // A photo takes two seconds here, as long as a dozen of the others.
  const frames = [...small, ...small, ...framesOf('mobilenet-v1').slice(0, 1)]
  const asked = new Map<string, Asked>()
  const topUp = (): void => {
    while (asked.size - requester.answers.size < OPEN_TASKS) {
      const { model, digest, data } = frames[Math.floor(random() * frames.length)]!
      const id = `task-${asked.size}`
      asked.set(id, { model, digest })
      requester.send(id, model, encode({ deadline: Date.now() + HOUR, data }))
    }
  }
  topUp()
  const again = setInterval(topUp, 100)
  return {
    asked,
    answers: requester.answers,
    answered: requester.answered,
    stop: () => clearInterval(again),
    close: requester.close,
  }
}

test(`${CUTS} power cuts in mid-work lose no task and pay none twice`, { timeout: 1_500_000 }, async () => {
  const random = createRandom(SEED)
  const flow = await startFlow(random)
  for (let cut = 1; cut <= CUTS; cut += 1) {
    const startedAt = performance.now()
    const before = flow.answers.size
    await flow.answered(before + LEAST_ANSWERS + Math.floor(random() * 8))
    await wait(random() * 1_500)
    await guest!.cut()
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(0)
    process.stdout.write(`cut ${cut} (seed ${SEED}): after ${seconds} s and ${flow.answers.size - before} answers\n`)
    await boot()
  }
  await letOthers()
  flow.stop()
  await flow.answered(flow.asked.size)
  for (const [id, { digest }] of flow.asked) {
    const [first, ...more] = flow.answers.get(id) ?? []
    expect(first, id).toMatchObject({ digest })
    // Told again is fine; told differently is a second run.
    for (const answer of more) expect(answer, id).toEqual(first)
  }
  await expect.poll(() => guest!.sh('ls /var/lib/bramble-agent'), { timeout: 30_000 }).toContain('buffer.db')
  expect(await guest!.sh('ls /var/lib/bramble-agent')).not.toMatch(/damaged|other-device/)
  await everyReceiptOnce(flow.asked.size)
  await flow.close()
})

async function everyReceiptOnce(tasks: number): Promise<void> {
  const db = new Sqlite(join(bramble.data, 'console.db'), { readonly: true })
  const goldens = MODELS.reduce((sum, model) => sum + manifestOf(ROOT, model).golden.length, 0)
  const done = db.prepare("SELECT count(*) FROM tasks WHERE state = 'done'").pluck()
  const receipts = db.prepare('SELECT task_id, count(*) AS times, min(state) AS state FROM receipts GROUP BY task_id')
  const all = tasks + goldens
  await expect.poll(() => receipts.all().length, { timeout: 120_000, interval: 500 }).toBe(all)
  expect(done.get()).toBe(all)
  expect(receipts.all().filter((row) => (row as { times: number }).times !== 1)).toEqual([])
  const states = new Set(receipts.all().map((row) => (row as { state: string }).state))
  expect(states).toEqual(new Set(['credited']))
  db.close()
  const { checks } = await bramble.api<LedgerCheck>('/api/ledger/check')
  expect(checks.filter(({ ok }) => !ok)).toEqual([])
  process.stdout.write(`${all} tasks answered once, ${all} receipts credited once\n`)
}

/** Emulated, the agent takes a quarter of a minute to get ready; the launcher allows twice this for start and trial. */
const TRIAL_S = 45

test('the board updates itself, and goes back by itself from a version that crashes', {
  timeout: 900_000,
}, async () => {
  const versions = await createVersions(work, 'arm64')
  const settings = [`BRAMBLE_TRIAL_S=${TRIAL_S}`, `BRAMBLE_TRUST_SOFTWARE=${PUBLISHER}:${versions.publicKey}`]
  await guest!.sh(
    `printf '%s\\n' ${settings.join(' ')} >>/etc/bramble-agent/agent.env; systemctl restart bramble-agent`,
  )
  const { url, token } = bramble.ready.console
  const say = (...args: readonly string[]): string =>
    execFileSync(process.execPath, ['console/bramble.js', 'software', ...args, '--url', url, '--token', token], {
      cwd: ROOT,
      encoding: 'utf8',
    })
  const runs = async (): Promise<string> => {
    const { boards } = await bramble.api<SoftwareView>('/api/software')
    return boards.map(({ version, state, progress }) => `${version} ${state} ${progress ?? ''}`).join()
  }
  const patience = { timeout: 420_000, interval: 1_000 }
  await expect.poll(runs, patience).toMatch(/ packaged $/)
  say('trust', PUBLISHER, versions.publicKey)
  say('publish', versions.make('0.2.0'))
  say('rollout', '0.2.0')
  await expect.poll(runs, patience).toBe('0.2.0 confirmed confirmed')
  say('publish', versions.make('0.3.0', "throw new Error('a version that crashes')\n"))
  await expect.poll(() => say('status'), patience).toMatch(/Rollout of 0.2.0: done/)
  say('rollout', '0.3.0')
  await expect.poll(runs, patience).toBe('0.2.0 confirmed failed')
  await expect.poll(() => say('status'), patience).toMatch(/Rollout of 0.3.0: stopped .*ended 3 times/)
  await expect.poll(async () => (await device())?.state, patience).toMatch(/idle|working/)
  expect(await guest!.sh('bramble-agent --version')).toBe('0.2.0')
})

test('the board powers off by itself, and its file systems are whole', async () => {
  const before = guest!
  await before.sh('systemctl --no-block poweroff')
  await before.off()
  guest = undefined
  expect(before.console()).toMatch(/Power down/)
  const [fat, root, data] = partsOf(card).map(({ start, size }, index) => {
    const file = join(work, `part-${index}`)
    execFileSync('dd', [
      `if=${card}`,
      `of=${file}`,
      'bs=1M',
      `skip=${start / 2048}`,
      `count=${Math.ceil(size / 2048)}`,
      'conv=sparse',
      'status=none',
    ])
    return file
  })
  execFileSync('fsck.vfat', ['-n', fat!])
  execFileSync('e2fsck', ['-fn', data!], { stdio: 'pipe' })
  const [, released] = partsOf(`${IMAGE}.img`)
  execFileSync('cmp', [
    `--bytes=${released!.size * 512}`,
    `--ignore-initial=0:${released!.start * 512}`,
    root!,
    `${IMAGE}.img`,
  ])
})
