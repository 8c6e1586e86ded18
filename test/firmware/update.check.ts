// The agent updates itself on a board that really boots: a good version is kept, and one that crashes, hangs or stands still is
// given up by itself, while frames go on being answered and no receipt is lost.
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Database from 'better-sqlite3'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { InfoMessage, SoftwareState } from '../../broker/protocol/messages.ts'
import { RELEASE_FILE } from '../../firmware-scripts/release/signing.ts'
import { type Bramble, removeFolder, startBramble } from '../harness/bramble.ts'
import { type Pipeline, startPipeline } from '../harness/pipeline.ts'
import { buildPackage, packageFor } from './built.ts'
import { type BootedBoard, bootBoard, layOutBoard, until } from './container.ts'
import { type Front, startFront } from './front.ts'
import { takeTurn } from './turns.ts'
import { createVersions, PUBLISHER } from './versions.ts'

const root = new URL('../..', import.meta.url).pathname
/** Not in one go: this process is the boards' way to their console. */
const execute = promisify(execFile)
const TRIAL_S = 20
/** Long enough for a start on a busy machine, short enough for a test. */
const LIMITS = `[Service]
TimeoutStartSec=30
WatchdogSec=15
RestartSec=1
`
const FRAME_EVERY_MS = 1_000

let done: () => Promise<void>
let work: string
let bramble: Bramble
let front: Front
let board: BootedBoard
let pipeline: Pipeline
let versions: Awaited<ReturnType<typeof createVersions>>
let sending: NodeJS.Timeout
let sent = 0

const info = async (): Promise<InfoMessage | undefined> => {
  const [device] = await bramble.api<{ id: string }[]>('/api/devices')
  return device && (await bramble.api<{ info?: InfoMessage }>(`/api/devices/${device.id}`)).info
}
const software = (is: (state: SoftwareState) => boolean): Promise<InfoMessage> =>
  until(async () => {
    const said = await info()
    return said?.software && is(said.software) ? said : undefined
  })

/** What became of this wish: what is still said of the wish before is no answer. */
const ended = (wish: { readonly release: string }, state: 'refused' | 'rolled-back'): Promise<InfoMessage> =>
  software(({ wanted }) => wanted?.release === wish.release && wanted.state === state)

/** The board hears of it as it does in the field: at its next connection. Asked for by hand, so that no test waits for minutes. */
async function want(folder: string): Promise<{ version: string; release: string }> {
  const wish = front.offer(folder)
  front.want(wish)
  const [device] = await bramble.api<{ id: string }[]>('/api/devices')
  await bramble.api(`/api/devices/${device!.id}/commands/converge`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  return wish
}

/** A frame that is sent now comes back with an answer. */
async function answers(): Promise<void> {
  const id = `asked-${sent}`
  sent += 1
  pipeline.send(id, 'mobilenet-v1')
  await until(() => (pipeline.answers.get(id)?.some((answer) => 'result' in answer) ? true : undefined))
}
const runs = (): Promise<string> => board.inside('bramble-agent --version')
const journal = (): Promise<string> => board.inside('journalctl --no-pager -o cat -u bramble-agent.service')

beforeAll(async () => {
  await buildPackage('amd64')
  done = await takeTurn('containers')
  work = mkdtempSync(join(tmpdir(), 'bramble-update-'))
  bramble = await startBramble({ flags: ['--agents', '0', '--no-demo'] })
  front = await startFront(bramble.ready.console.url)
  pipeline = await startPipeline(bramble.ready)
  versions = await createVersions(work, 'amd64')
  await install()
  await software(() => true)
  sending = setInterval(() => {
    sent += 1
    pipeline.send(`sent-${sent}`, 'mobilenet-v1')
  }, FRAME_EVERY_MS)
})

async function install(): Promise<void> {
  const folder = join(work, 'board')
  layOutBoard(folder)
  const { token } = await bramble.api<{ token: string }>('/api/enrollments', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  for (const name of ['opt/bramble', 'boot/firmware', 'etc/systemd/system/bramble-agent.service.d'])
    mkdirSync(join(folder, name), { recursive: true })
  cpSync(packageFor('amd64'), join(folder, 'opt/bramble/agent.deb'))
  cpSync(join(root, 'firmware-scripts/install.sh'), join(folder, 'opt/bramble/install.sh'))
  writeFileSync(join(folder, 'boot/firmware/bramble.toml'), `console = "${front.url}"\ntoken = "${token}"\n`)
  writeFileSync(join(folder, 'etc/systemd/system/bramble-agent.service.d/limits.conf'), LIMITS)
  board = await bootBoard(folder)
  await board.inside('cd /opt/bramble && ./install.sh --deb agent.deb')
  await board.inside(
    `printf '%s\\n' BRAMBLE_TRIAL_S=${TRIAL_S} BRAMBLE_TRUST_SOFTWARE=${PUBLISHER}:${versions.publicKey} >>/etc/bramble-agent/agent.env`,
  )
  await board.inside('systemctl restart bramble-agent.service')
}

/** What there is to read when something fails. */
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail')
    process.stderr.write(`${await journal()}\n${JSON.stringify((await info())?.software)}\n`)
})
afterAll(async () => {
  clearInterval(sending)
  await pipeline?.close()
  await board?.off()
  await front?.close()
  await bramble?.stop()
  await removeFolder(bramble.data)
  rmSync(work, { recursive: true })
  await done()
})

test('a file with other bytes than were signed is refused, and what runs goes on', async () => {
  await answers()
  const folder = versions.make('0.1.9', '// Other bytes.\n')
  const release = JSON.parse(
    Buffer.from(readFileSync(join(folder, RELEASE_FILE), 'utf8').split('.')[1] ?? '', 'base64url').toString(),
  )
  const main = release.files.find(({ path }: { path: string }) => path === 'agent/main.js')
  front.tamper(main.sha256, '!'.repeat(main.bytes))
  const said = await ended(await want(folder), 'refused')
  expect(said.software).toMatchObject({ version: '0.1.0', state: 'packaged' })
  expect(said.software?.wanted?.reason).toMatch(/^agent\/main.js came with sha256/)
  expect(await runs()).toBe('0.1.0')
  await answers()
})

test('a version that crashes is given up, and is not tried again', async () => {
  const wish = await want(versions.make('0.2.0', "throw new Error('a version that crashes')\n"))
  const said = await ended(wish, 'rolled-back')
  expect(said.software).toMatchObject({ version: '0.1.0', state: 'packaged', wanted: wish })
  expect(said.software?.wanted?.reason).toMatch(/^it ended 3 times before it had shown itself well/)
  expect(said.notices?.join()).toMatch(/went back from version 0.2.0 of the agent to 0.1.0/)
  expect((await journal()).match(/^throw new Error/gm)).toHaveLength(3)
  await answers()
})

test('a good version is taken, watched, and kept', async () => {
  const wish = await want(versions.make('0.3.0'))
  const trial = await software(({ state }) => state === 'trial')
  expect(trial.software).toMatchObject({ version: '0.3.0', release: wish.release })
  await answers()
  const kept = await software(({ state }) => state === 'confirmed')
  const { release } = wish
  expect(kept.software).toEqual({
    version: '0.3.0',
    release,
    arch: 'amd64',
    state: 'confirmed',
    outboxReads: expect.any(Number),
  })
  expect(kept.notices ?? []).toEqual([])
  expect(await runs()).toBe('0.3.0')
  await answers()
})

test('a version that is never ready is given up for the one that was kept', async () => {
  const wish = await want(
    versions.make(
      '0.4.0',
      "if (process.argv[2] === 'run') { setInterval(() => {}, 1e6); await new Promise(() => {}) }\n",
    ),
  )
  const said = await ended(wish, 'rolled-back')
  expect(said.software).toMatchObject({ version: '0.3.0', state: 'confirmed' })
  expect(said.software?.wanted?.reason).toMatch(/^it was killed as one that hangs/)
  await answers()
})

test('a version that stands still once it is ready is ended by the watchdog and given up', async () => {
  const wish = await want(
    versions.make('0.5.0', "if (process.argv[2] === 'run') setTimeout(() => { for (;;); }, 15_000)\n"),
  )
  const said = await ended(wish, 'rolled-back')
  expect(said.software).toMatchObject({ version: '0.3.0', state: 'confirmed' })
  expect(said.software?.wanted?.reason).toMatch(/^it was killed as one that hangs/)
  expect(await journal()).toMatch(/Watchdog timeout/)
  expect(await runs()).toBe('0.3.0')
  await answers()
})

test('another Debian package wins over what the console sent before', async () => {
  front.want(undefined)
  const tree = join(work, 'tree')
  await execute('dpkg-deb', ['-R', packageFor('amd64'), tree])
  const control = join(tree, 'DEBIAN/control')
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, 'Version: 0.6.0'))
  await execute('dpkg-deb', ['-Znone', '-b', tree, board.at('opt/bramble/newer.deb')])
  await board.inside('dpkg -i /opt/bramble/newer.deb')
  expect(existsSync(board.at('var/lib/bramble-agent/software/current'))).toBe(false)
  await software(({ state }) => state === 'packaged')
  await answers()
})

test('a version that the console rolls out arrives, and the rollout ends once the board has confirmed it', async () => {
  const { url, token } = bramble.ready.console
  const say = async (...args: readonly string[]): Promise<string> => {
    const all = ['console/bramble.js', 'software', ...args, '--url', url, '--token', token]
    return (await execute(process.execPath, all, { cwd: root })).stdout
  }
  await say('trust', PUBLISHER, versions.publicKey)
  await say('publish', versions.make('0.7.0'))
  await say('rollout', '0.7.0')
  await software(({ version, state }) => version === '0.7.0' && state === 'confirmed')
  await until(async () => (/^Rollout of 0.7.0: done/m.test(await say('status')) ? true : undefined))
  expect(await runs()).toBe('0.7.0')
  await answers()
})

test('every frame was answered, and every answer has exactly one receipt', async () => {
  clearInterval(sending)
  const ids = [...pipeline.answers.keys()]
  await pipeline.answered(sent)
  expect(pipeline.answers.size).toBe(sent)
  const db = new Database(join(bramble.data, 'console.db'), { readonly: true })
  const count = (sql: string): number => db.prepare<[], { n: number }>(sql).get()?.n ?? -1
  const done = count("SELECT count(*) AS n FROM tasks WHERE state = 'done'")
  expect(done).toBeGreaterThan(ids.length / 2)
  const credited = "SELECT count(DISTINCT task_id) AS n FROM receipts WHERE state IN ('credited', 'held')"
  await until(() => (count(credited) === done ? true : undefined))
  expect(count("SELECT count(*) AS n FROM receipts WHERE state IN ('credited', 'held')")).toBe(done)
  db.close()
  process.stdout.write(`${sent} frames sent, ${done} answered with a result, ${done} receipts\n`)
})
