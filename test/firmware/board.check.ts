// The amd64 package on a board that really boots: systemd as process 1 in a container, a real console beside it, and the way from
// bramble.toml to an answered frame, a restart, and a removal that leaves nothing.
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bramble, removeFolder, startBramble } from '../harness/bramble.ts'
import { buildPackage, packageFor } from './built.ts'
import { rootFileSystem } from './root-file-system.ts'
import { takeTurn } from './turns.ts'

const root = new URL('../..', import.meta.url).pathname
const TOML = (url: string, token: string): string => `console = "${url}"\r\ntoken = "${token}"\r\nname = "porch"\r\n`

let done: () => Promise<void>
let work: string
let bramble: Bramble
const at = (name: string): string => join(work, 'board', name)
const inside = (name: string): string => at(join('opt/bramble', name))

const SERVICE = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /opt/bramble/board.sh
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=multi-user.target
`

/** A frame through the console, retried while the board is on its way. */
const task = ({ url, token }: { url: string; token: string }): string => `
const frame = (await import('node:fs')).readFileSync('/usr/lib/bramble-agent/models/mobilenet-v1/golden/coffee.jpg')
const headers = { authorization: 'Bearer ${token}' }
const answer = await fetch('${url}/api/tasks?model=mobilenet-v1&wait=1', { method: 'POST', headers, body: frame })
console.log(JSON.stringify(await answer.json()))
`

const enrollment = () =>
  bramble.api<{ token: string; command: string }>('/api/enrollments', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })

/** An empty package; `preinst`: what it does before it is unpacked. */
function pack(name: string, file: string, more: readonly string[], preinst?: string): string {
  const control = [`Package: ${name}`, 'Version: 0.0.1', 'Architecture: amd64', 'Maintainer: N <n@localhost.invalid>']
  const text = `${[...control, ...more, 'Description: empty'].join('\n')}\n`
  mkdirSync(join(work, name, 'DEBIAN'), { recursive: true })
  writeFileSync(join(work, name, 'DEBIAN/control'), text)
  if (preinst !== undefined) writeFileSync(join(work, name, 'DEBIAN/preinst'), preinst, { mode: 0o755 })
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', join(work, name), file])
  return text
}

/** By name the agent's, and dpkg is killed over it. */
const packCut = (): string => pack('bramble-agent', inside('cut.deb'), [], '#!/bin/sh\nkill -KILL $PPID\n')

/** By name the agent's, which needs another one; and a mirror that has it. */
function packUnmet(): void {
  pack('bramble-agent', inside('unmet.deb'), ['Depends: no-such-package'])
  mkdirSync(at('srv/mirror'), { recursive: true })
  const file = at('srv/mirror/needed.deb')
  const control = pack('no-such-package', file, [])
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
  const place = `Filename: ./needed.deb\nSize: ${statSync(file).size}\nSHA256: ${sha256}\n`
  writeFileSync(at('srv/mirror/Packages'), control + place)
}

beforeAll(async () => {
  await buildPackage('amd64')
  done = await takeTurn('containers')
  work = mkdtempSync(join(tmpdir(), 'bramble-board-'))
  bramble = await startBramble({ flags: ['--agents', '0', '--no-demo'] })
  const { console: at8080 } = bramble.ready
  const { token } = await enrollment()
  mkdirSync(at('.'), { recursive: true })
  execFileSync('tar', ['-xf', rootFileSystem(), '-C', at('.')])
  for (const folder of ['opt/bramble', 'boot/firmware', 'etc/systemd/system/multi-user.target.wants'])
    mkdirSync(at(folder), { recursive: true })
  cpSync(packageFor('amd64'), inside('agent.deb'))
  cpSync(join(root, 'firmware-scripts/install.sh'), inside('install.sh'))
  cpSync(join(root, 'test/firmware/board.sh'), inside('board.sh'))
  writeFileSync(inside('url'), at8080.url)
  // As Windows writes it.
  writeFileSync(inside('token'), `${(await enrollment()).token}\r\n`)
  writeFileSync(inside('again.toml'), TOML(at8080.url, (await enrollment()).token))
  packUnmet()
  packCut()
  writeFileSync(inside('again'), (await enrollment()).command)
  writeFileSync(inside('command'), (await enrollment()).command)
  writeFileSync(inside('task.mjs'), task(at8080))
  writeFileSync(at('boot/firmware/bramble.toml'), TOML(at8080.url, token))
  writeFileSync(at('etc/hostname'), 'board\n')
  writeFileSync(at('etc/systemd/system/board.service'), SERVICE)
  symlinkSync('/etc/systemd/system/board.service', at('etc/systemd/system/multi-user.target.wants/board.service'))
})
afterAll(async () => {
  await bramble.stop()
  await removeFolder(bramble.data)
  rmSync(work, { recursive: true })
  await done()
})

test('a board enrols from its boot partition, by hand or by one line, answers, comes back from a crash and a hang, and is removed without a trace', () => {
  const args = ['--directory', at('.'), '--boot', '--register=no', '--keep-unit', '--private-users=no']
  const { stdout } = spawnSync('systemd-nspawn', args, { encoding: 'utf8', timeout: 400_000, input: '' })
  expect(existsSync(inside('facts')), stdout).toBe(true)
  const lines = readFileSync(inside('facts'), 'utf8').trim().split('\n')
  const facts = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)))
  const { answer, status, agentKiB, hostKiB, stopMs, enrolledBy, doctorOks, ...rest } = facts
  const logs = () =>
    globSync('*.log', { cwd: inside('.') }).map((name) => `${name}:\n${readFileSync(inside(name), 'utf8')}`)
  expect(rest, logs().join('\n')).toEqual({
    cut: '1',
    cutState: 'iHR',
    cutRemoved: '0',
    cutLeft: '',
    install: '0',
    waited: '1',
    toml: 'token=""',
    hostname: 'porch',
    active: 'active',
    unmet: '1',
    met: 'ii ii ',
    task: '0',
    again: '0',
    againSaid: '2',
    samePid: 'yes',
    journalLimit: '64.0M',
    unwell: '1',
    never: '1',
    mended: '0',
    whole: '',
    anew: 'active',
    anewToml: 'token=""',
    taskAnew: '0',
    notRoot: '2',
    anewByHand: '0',
    anewTaken: 'active',
    afterKill: 'active',
    afterHang: 'active',
    hangSeen: '1',
    stopResult: 'success',
    keepData: '0',
    keyKept: 'yes',
    leftWithData: '/etc/bramble-agent /var/lib/bramble-agent bramble-agent video',
    journalLimitAfter: 'other',
    reinstall: '0',
    uninstall: '0',
    left: '',
    check: '0',
    byHand: '0',
    doctorFails: '0',
    taskByHand: '0',
    purgeAgain: '0',
    bare: '0',
    beforeLine: 'inactive',
    line: '0',
    lineSaid: '1',
    byLine: 'active',
  })
  expect(enrolledBy).toMatch(/^This board is in: enrolled as \S+ \(\S+\)$/)
  expect(answer).toMatch(/"label":"espresso"/)
  expect(Number(doctorOks)).toBeGreaterThan(5)
  expect(status).not.toBe('')
  expect(Number(stopMs)).toBeLessThan(15_000)
  // Two inference processes where there is room; issue 5 allows 200 MB in a guest with 512.
  expect((Number(agentKiB) + Number(hostKiB)) / 1024).toBeLessThan(250)
  process.stdout.write(
    `agent ${agentKiB} KiB, inference process ${hostKiB} KiB, stopped in ${stopMs} ms, status: ${status}\n`,
  )
}, 420_000)
