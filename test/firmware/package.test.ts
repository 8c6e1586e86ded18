import { spawn, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { bundle } from '../../firmware-scripts/deb/bundle.ts'
import { pack } from '../../firmware-scripts/deb/control.ts'
import { machineOf } from '../../firmware-scripts/deb/elf.ts'
import { BuildError } from '../../firmware-scripts/deb/packages.ts'
import { startLoneBoard } from '../bench/board.ts'

const root = new URL('../..', import.meta.url).pathname
const files = join(root, 'firmware-scripts/deb/files')
const unit = readFileSync(join(files, 'bramble-agent.service'), 'utf8')
const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined

describe('the package', () => {
  test('gets its name when it is whole, and not when its making was cut off', () => {
    const folder = mkdtempSync(join(tmpdir(), 'bramble-cut-'))
    vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`)
    writeFileSync(join(folder, 'dpkg-deb'), '#!/bin/sh\nfor last; do :; done\necho half >"$last"\nkill -KILL $$\n', {
      mode: 0o755,
    })
    const [tree, file] = [join(folder, 'tree'), join(folder, 'x.deb')]
    const order = { tree, scripts: files, architecture: 'amd64', version: '1', dated: 1, isQuick: true, file } as const
    mkdirSync(tree)
    expect(() => pack(order)).toThrow(BuildError)
    expect(existsSync(file)).toBe(false)
    rmSync(join(tree, 'DEBIAN'), { recursive: true })
    writeFileSync(join(folder, 'dpkg-deb'), '#!/bin/sh\nfor last; do :; done\necho whole >"$last"\n')
    pack(order)
    expect(readFileSync(file, 'utf8')).toBe('whole\n')
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  })
})

describe('the service', () => {
  test.each([
    'Type=notify',
    'NotifyAccess=all',
    'KillMode=mixed',
    'WatchdogSec=60',
    'TimeoutStartSec=300',
    'TimeoutStartFailureMode=kill',
    'TimeoutStopSec=15',
    'Restart=always',
    'RestartSec=5',
    'SupplementaryGroups=video',
    'DeviceAllow=/dev/vcio rw',
    'NoNewPrivileges=yes',
    'ProtectSystem=strict',
  ])('says %s', (line) => {
    expect(unit.split('\n')).toContain(line)
  })

  test('allows what systemd-notify and V8 need, and shows ONNX Runtime the CPU', () => {
    expect(unit).toMatch(/^RestrictAddressFamilies=.*\bAF_UNIX\b/m)
    expect(unit).not.toMatch(/^(MemoryDenyWriteExecute|ProcSubset)=/m)
  })

  test.skipIf(!has('systemd-analyze'))('is understood by systemd, and little exposed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'bramble-units-'))
    for (const name of globSync('*.{service,path}', { cwd: files })) {
      // The programs are not installed here; everything else is to be judged.
      const text = readFileSync(join(files, name), 'utf8').replaceAll(/^ExecStart=\S+/gm, 'ExecStart=/bin/true')
      writeFileSync(join(folder, name), text)
      const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', join(folder, name)], { encoding: 'utf8' })
      expect(
        (stdout + stderr).split('\n').filter((line) => line.includes('bramble')),
        name,
      ).toEqual([])
    }
    const { stdout } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--no-pager', join(folder, 'bramble-agent.service')],
      { encoding: 'utf8' },
    )
    rmSync(folder, { recursive: true })
    const exposure = Number(/exposure level for .*: ([\d.]+)/.exec(stdout)?.[1])
    expect(exposure).toBeLessThanOrEqual(2.5)
  })
})

describe.skipIf(!has('systemd-analyze'))('the service on a Jetson', () => {
  /** What systemd makes of unit and drop-in together. */
  function devicesWith(dropIn: boolean): string {
    const folder = mkdtempSync(join(tmpdir(), 'bramble-jetson-unit-'))
    const units = join(folder, 'etc/systemd/system')
    mkdirSync(join(units, 'bramble-agent.service.d'), { recursive: true })
    writeFileSync(join(units, 'bramble-agent.service'), unit.replaceAll(/^ExecStart=\S+/gm, 'ExecStart=/bin/true'))
    if (dropIn) cpSync(join(root, 'firmware-scripts/jetson/gpu.conf'), join(units, 'bramble-agent.service.d/gpu.conf'))
    const args = ['security', '--offline=true', `--root=${folder}`, '--json=short', 'bramble-agent.service']
    const { stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
    rmSync(folder, { recursive: true })
    expect(stderr).toBe('')
    const facts = JSON.parse(stdout) as { readonly json_field: string; readonly description: string }[]
    return facts.find(({ json_field }) => json_field === 'DeviceAllow')?.description ?? ''
  }

  test('reaches the GPU’s nodes by the drop-in only', () => {
    const closed = 'Service has a device ACL with some special devices: char-rtc:r'
    expect(devicesWith(false)).toBe(`${closed} /dev/vcio:rw char-video4linux:rw`)
    expect(devicesWith(true)).toBe(`${closed} char-*:rw /dev/vcio:rw char-video4linux:rw`)
  })
})

describe('the bundle', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bramble-bundle-'))
  const main = join(folder, 'agent/main.js')
  beforeAll(async () => {
    await bundle(root, join(folder, 'agent'))
    for (const name of ['models', 'node_modules']) symlinkSync(join(root, name), join(folder, name))
    writeFileSync(join(folder, 'package.json'), '{"version":"1.2.3","type":"module"}')
    mkdirSync(join(folder, 'home'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('answers with the same digest as the sources', () => {
    const run = (main: string, ...args: string[]) =>
      spawnSync(process.execPath, [main, ...args], {
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], HOME: join(folder, 'home'), BRAMBLE_DATA: join(folder, 'data') },
      })
    expect(run(main, '--version').stdout.trim()).toBe('1.2.3')
    const frame = join(root, 'models/mobilenet-v1/golden/coffee.jpg')
    const digests = [main, join(root, 'agent/main.ts')].map(
      (program) => JSON.parse(run(program, 'infer', frame, '--model', 'mobilenet-v1', '--json').stdout).digest,
    )
    expect(digests[0]).toMatch(/^[0-9a-f]{64}$/)
    expect(digests[0]).toBe(digests[1])
  })

  test('keeps its compiled code and that of its inference process while it serves: it may never end by itself', async () => {
    const board = await startLoneBoard(['fashion'], join(folder, 'lone'), (args, env) =>
      spawn(process.execPath, [main, ...args], { env: { PATH: process.env['PATH'], ...env }, stdio: 'ignore' }),
    )
    const kept = (): string[] => globSync('{code,home/.cache/bramble}/*/*', { cwd: join(folder, 'lone') })
    const places = (): number => new Set(kept().map((path) => path.split('/', 1)[0])).size
    await vi.waitUntil(() => places() === 2, { timeout: 60_000, interval: 20 })
    await board.close()
  })
})

describe('native files', () => {
  test.each([
    ['amd64', readFileSync(join(root, 'node_modules/better-sqlite3/prebuilds/linux-x64.node'))],
    ['arm64', readFileSync(join(root, 'node_modules/better-sqlite3/prebuilds/linux-arm64.node'))],
    ['other', readFileSync(join(root, 'node_modules/better-sqlite3/prebuilds/darwin-arm64.node'))],
    ['other', readFileSync(join(root, 'node_modules/better-sqlite3/prebuilds/win32-x64.node'))],
    [undefined, Buffer.from('#!/bin/sh\n')],
    [undefined, Buffer.alloc(0)],
  ])('are told apart: %s', (machine, bytes) => {
    expect(machineOf(bytes.subarray(0, 20))).toBe(machine)
  })
})

describe('the scripts', () => {
  const scripts = [
    ...globSync('firmware-scripts/{,jetson/}*.sh', { cwd: root }),
    'firmware-scripts/image/initramfs.sh',
    ...globSync('firmware-scripts/image/root/usr/lib/bramble-os/*', { cwd: root }),
    ...['bramble-agent', 'launch', 'postinst', 'prerm', 'postrm'].map((name) => `firmware-scripts/deb/files/${name}`),
  ]

  test.skipIf(!has('shellcheck'))('are clean to shellcheck', () => {
    expect(spawnSync('shellcheck', scripts, { cwd: root, encoding: 'utf8' }).stdout).toBe('')
  })

  test.each(scripts.filter((script) => /^firmware-scripts\/(jetson\/)?\w[\w-]*\.sh$|\/grow$/.test(script)))(
    '%s explains itself',
    (script) => {
      expect(spawnSync('bash', [script, '--help'], { cwd: root }).status).toBe(0)
    },
  )
})
