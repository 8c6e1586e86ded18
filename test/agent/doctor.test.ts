// The doctor as a person or a script runs it, beside a real agent and without one; and its single findings.
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  checkBoard,
  checkCard,
  checkDisk,
  checkHeat,
  checkMemory,
  checkMemoryLimit,
  checkSupply,
} from '../../agent/doctor/board-checks.ts'
import type { Check } from '../../agent/doctor/check.ts'
import { holderOf } from '../../agent/doctor/holder.ts'
import { lineOf, verdictOf } from '../../agent/doctor/page.ts'
import { checkWanted } from '../../agent/doctor/wanted-check.ts'
import type { DoctorReport } from '../../agent/doctor.ts'
import { readBoard } from '../../agent/presence/vitals.ts'
import { VitalsMessage } from '../../broker/protocol/messages.ts'
import { type Board, killed, openBoard, runAgent } from './board.ts'
import { BOARDS, boardTree, makeTree, removeTrees } from './boards.ts'

const MODELS = fileURLToPath(new URL('../../models', import.meta.url))
const folders: string[] = []
const scratch = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'doctor-'))
  folders.push(folder)
  return folder
}
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
  return removeTrees()
})

async function doctor(...flags: string[]) {
  const agent = runAgent(['doctor', '--json', ...flags])
  const code = await agent.exited
  const report = JSON.parse(agent.lines.join('') || 'null') as DoctorReport
  const found = (name: string): Check | undefined => report.checks.find((check) => check.name === name)
  return { code, report, found, errors: agent.errors() }
}

describe('the doctor on an enrolled board', () => {
  let board: Board
  let aheadMs = 0
  /** As much of a console as the doctor asks. */
  const console: RequestListener = (request, response) => {
    const desired = { revision: 0, now: Date.now() - aheadMs, publishers: [] }
    const known = request.headers.authorization === 'Bearer the credential'
    if (request.url === '/healthz') response.end(JSON.stringify({ status: 'ok', version: '0', upS: 1 }))
    else response.writeHead(known ? 200 : 401).end(JSON.stringify(desired))
  }
  const examine = (...flags: string[]) => doctor('--data', board.folder, '--serve', 'fashion', ...flags)

  beforeAll(async () => {
    board = await openBoard(['--serve', 'fashion'], console)
    await board.serving()
  })
  afterAll(() => board.close())

  test('finds all well beside the running agent, and does not throw it out', async () => {
    const heard = board.ear.heard.length
    const { code, report, found, errors } = await examine()
    expect(errors).toBe('')
    expect(code).toBe(0)
    expect(report).toMatchObject({ device: board.device, name: 'calm-green-fox', verdict: 'ok' })
    expect(found('outbox')?.says).toContain(`in use by the agent (process ${board.agent().child.pid})`)
    expect(found('broker')?.says).toContain('the running agent has the connection')
    expect(found('console')?.says).toContain('knows this board')
    expect(found('clock')?.state).toBe('ok')
    expect(found('fashion')?.says).toMatch(/^3 golden inputs right bit for bit; \d+\.\d ms a frame/)
    expect(found('provider')?.says).toBe('models run on cpu')
    await board.send('fashion', 'still-there', 'no picture')
    await board.answer('fashion', 'still-there')
    const since = board.ear.heard.slice(heard)
    expect(since.filter(({ topic }) => topic.kind === 'status')).toEqual([])
  })

  test('leaves it to the agent to tell its vitals at its connection', async () => {
    const vitals = await board.ear.find(({ topic, payload }) =>
      topic.kind === 'vitals' ? VitalsMessage.parse(JSON.parse(payload.toString())) : undefined,
    )
    expect(vitals.memory.freeMiB).toBeGreaterThan(0)
    expect(vitals.disk?.readOnly).toBe(false)
    expect(vitals.host).toMatchObject({ restarts: 0, poisoned: 0 })
  })

  test('tries the whole way to the broker when no agent runs', async () => {
    await killed(board.agent().child)
    const { code, found } = await examine()
    expect(code).toBe(0)
    expect(found('outbox')?.says).toContain('no agent is running')
    expect(found('broker')?.says).toContain(`lets ${board.device} in`)
  })

  test('fails with what to do when the clock is wrong, the file is open to others and the broker is gone', async () => {
    aheadMs = 86_400_000
    chmodSync(board.folder, 0o755)
    await board.broker.close()
    const { code, report, found } = await examine()
    expect(code).toBe(1)
    expect(report.verdict).toBe('fail')
    expect(found('clock')).toMatchObject({ state: 'fail', remedy: expect.stringContaining('timedatectl') })
    expect(found('clock')?.says).toMatch(/^1 day ahead of/)
    expect(found('data folder')).toMatchObject({ state: 'warn', remedy: `chmod 700 ${board.folder}` })
    expect(found('broker')?.says).toContain('ECONNREFUSED')
  })
})

describe('the doctor', () => {
  test('says on a board that is not enrolled how to begin, and still tries the models', async () => {
    const data = join(scratch(), 'none')
    const agent = runAgent(['doctor', '--data', data, '--serve', 'fashion'])
    expect(await agent.exited).toBe(1)
    const page = agent.lines.join('\n')
    expect(page).toMatch(/FAIL +credential +this board is not enrolled\n +→ bramble-agent enroll/)
    expect(page).toMatch(/ok +fashion +3 golden inputs right/)
    expect(page).toContain('2 failures: what to do stands after each arrow.')
    expect(page).not.toContain('\u001b[')
  })

  test('finds a model file that is not what its manifest says', async () => {
    const models = scratch()
    cpSync(join(MODELS, 'fashion'), join(models, 'fashion'), { recursive: true })
    writeFileSync(join(models, 'fashion', 'labels.json'), '[]')
    const { code, found } = await doctor('--data', join(scratch(), 'none'), '--models', models)
    expect(code).toBe(1)
    expect(found('models')?.says).toMatch(/labels\.json/)
  })

  test('finds a model that computes something else than its publisher', async () => {
    const models = scratch()
    cpSync(join(MODELS, 'fashion'), join(models, 'fashion'), { recursive: true })
    const file = join(models, 'fashion', 'model.json')
    const manifest = JSON.parse(readFileSync(file, 'utf8'))
    manifest.golden[1].digest = 'ab'.repeat(32)
    writeFileSync(file, JSON.stringify(manifest))
    const { code, found } = await doctor('--data', join(scratch(), 'none'), '--models', models)
    expect(code).toBe(1)
    expect(found('fashion')).toMatchObject({ state: 'fail', remedy: expect.stringContaining('--serve') })
    expect(found('fashion')?.says).toMatch(/something else than its publisher/)
  })

  test('says why models do not run on the provider that is wanted', async () => {
    const flags = ['--serve', 'fashion,vibration-ae', '--providers', 'cuda,cpu']
    const { found } = await doctor('--data', join(scratch(), 'none'), ...flags)
    expect(found('provider')).toMatchObject({ state: 'warn', remedy: expect.stringContaining('--providers cpu') })
    expect(found('provider')?.says).toMatch(
      /^cuda was wanted, but models run on cpu: cuda: (its library .* is not installed|this build of ONNX Runtime does not have it)$/,
    )
  })

  test('ends without a word where nobody reads on, as before `| head`', async () => {
    const agent = runAgent(['doctor', '--data', join(scratch(), 'none'), '--serve', 'fashion'])
    agent.child.stdout.destroy()
    expect(await agent.exited).toBe(141)
    expect(agent.errors()).toBe('')
  })

  test('could not look where its own flags are wrong', async () => {
    const agent = runAgent(['doctor', '--threads', '0'])
    expect(await agent.exited).toBe(2)
    expect(agent.errors()).toContain('--threads')
  })
})

describe('a finding', () => {
  test.each([
    [checkSupply({ now: ['under-voltage'], sinceBoot: ['under-voltage'] }), 'fail', /power supply/],
    [checkSupply({ now: [], sinceBoot: ['throttled'] }), 'warn', /heat sink/],
    [checkSupply({ now: [], sinceBoot: [] }), 'ok', undefined],
    [checkHeat(74, { slowAtC: 75, throttleAtC: 80, pauseAtC: 90 }), 'ok', undefined],
    [checkHeat(75, { slowAtC: 75, throttleAtC: 80, pauseAtC: 90 }), 'warn', /fan/],
    [checkHeat(90, { slowAtC: 75, throttleAtC: 80, pauseAtC: 90 }), 'fail', /fan/],
    [checkMemory({ totalMiB: 429, freeMiB: 90 }, false), 'warn', /--serve/],
    [checkMemory({ totalMiB: 429, freeMiB: 90 }, true), 'ok', undefined],
    [checkDisk({ totalMiB: 1000, freeMiB: 900, readOnly: true }), 'fail', /replace/],
    [checkDisk({ totalMiB: 1000, freeMiB: 63, readOnly: false }), 'fail', /room/],
    [checkDisk({ totalMiB: 1000, freeMiB: 300, readOnly: false }), 'warn', /room/],
    [checkCard({ name: 'SD X' }), 'ok', undefined],
    [checkCard({ name: 'MMC X', lifeUsedPercent: 80 }), 'warn', /order/],
    [checkCard({ name: 'MMC X', lifeUsedPercent: 100 }), 'fail', /replace/],
  ] as const)('%j', (check, state, remedy) => {
    expect(check.state).toBe(state)
    if (remedy) expect(check.remedy).toMatch(remedy)
    else expect(check).not.toHaveProperty('remedy')
  })

  test.each(BOARDS)('about the hardware of %s comes without a fault of the reader', async (name) => {
    const tree = boardTree(name)
    const checks = await checkBoard(tree, tmpdir(), await readBoard(tree), false, () => 0)
    expect(checks.length).toBeGreaterThanOrEqual(2)
    expect(checks.find((check) => check.name === 'power')?.state).toBe(
      { 'pi-3b': 'fail', 'pi-4b': 'ok', 'pi-5': 'warn', 'zero-2w': 'fail' }[name as string],
    )
  })

  test.each([
    [{}, []],
    [{ 'cgroup.procs': '417' }, ['warn']],
    [{ 'cgroup.procs': '417', 'memory.max': 'max' }, ['warn']],
    [{ 'cgroup.procs': '417', 'memory.max': '396361728' }, ['ok']],
  ])('about the memory limit is what the kernel enforces: %j', async (files, states) => {
    const folder = 'sys/fs/cgroup/system.slice/bramble-agent.service'
    const given = Object.entries<string>(files).map(([name, text]) => [`${folder}/${name}`, text])
    const checks = await checkMemoryLimit(await makeTree(Object.fromEntries(given)))
    expect(checks.map(({ state }) => state)).toEqual(states)
  })

  test('about what the console wants names each version that is not served, and why it is refused', () => {
    const data = scratch()
    expect(checkWanted(data, undefined)).toEqual([])
    const [good, bad, late] = ['a', 'b', 'c'].map((digit) => digit.repeat(64))
    const models = [
      { id: 'good', version: '1.0.0', release: good },
      { id: 'bad', version: '1.1.0', release: bad },
      { id: 'late', version: '1.2.0', release: late },
    ]
    writeFileSync(join(data, 'desired.json'), JSON.stringify({ revision: 1, now: 1, publishers: [], models }))
    mkdirSync(join(data, 'packages/.verdicts'), { recursive: true })
    const served = { models: { good: { release: good }, bad: { release: good } }, recent: [good] }
    writeFileSync(join(data, 'packages/served.json'), JSON.stringify(served))
    const verdict = { under: 'runtime', reason: 'golden/cat.jpg: another answer' }
    writeFileSync(join(data, `packages/.verdicts/${bad}.json`), JSON.stringify(verdict))
    expect(checkWanted(data, ['good'])).toEqual([expect.objectContaining({ state: 'ok' })])
    expect(checkWanted(data, undefined).map(({ state, says }) => `${state} ${says}`)).toEqual([
      'warn bad@1.1.0 is refused: golden/cat.jpg: another answer',
      'warn late@1.2.0 is not served yet',
    ])
  })

  test('is coloured only when asked, and the count says what to read', () => {
    const check: Check = { name: 'disk', state: 'fail', says: 'full', remedy: 'make room' }
    expect(lineOf(check, false)).toBe(`  FAIL  disk               full\n${' '.repeat(26)} → make room`)
    expect(lineOf(check, true)).toContain('\u001b[31mFAIL')
    expect(verdictOf([check, { ...check, state: 'warn' }, { ...check, state: 'warn' }])).toMatch(
      /^1 failure and 2 warnings/,
    )
    expect(verdictOf([{ ...check, state: 'ok' }])).toBe('All is well.')
  })

  test('about the holder of a file tells agents from others, and nobody from somebody unknown', async () => {
    const file = join(scratch(), 'buffer.db')
    expect(holderOf(file)).toBeUndefined()
    writeFileSync(file, '')
    expect(holderOf(file)).toBeUndefined()
    const locks = (pid: number) =>
      `1: POSIX  ADVISORY  WRITE ${pid} fe:00:${statSync(file).ino} 1073741824 1073742335\n`
    const held = async (pid: number, cmdline: string) =>
      holderOf(file, `${(await makeTree({ 'proc/locks': locks(pid), [`proc/${pid}/cmdline`]: cmdline })).root}/`)
    expect(await held(4242, 'node\0/opt/agent/main.ts\0run')).toBe(4242)
    expect(await held(4242, 'sqlite3\0other.db')).toBeUndefined()
    expect(await held(0, '')).toBe(0)
    const other = await makeTree({
      'proc/locks': locks(4242).replace(/:\d+ /, ':1 '),
      'proc/4242/cmdline': 'agent/main.ts',
    })
    expect(holderOf(file, `${other.root}/`)).toBeUndefined()
  })
})
