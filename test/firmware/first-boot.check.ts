// What customize.sh wrote, executed: each way of a first boot on a board that really boots, with a package that cannot be installed at
// first and can be at the next boot. The package is a small one; that of the agent is installed in board.check.ts.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type BootedBoard, bootBoard, layOutBoard, until } from './container.ts'
import { CMDLINE, COMMENTS, FAT_AT, makeImage, ROOT_AT } from './stock-image.ts'
import { takeTurn } from './turns.ts'

const root = new URL('../..', import.meta.url).pathname
const CONTROL =
  'Package: probe\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <n@localhost.invalid>\nDescription: probe\n'
/** Exit code of systemd-nspawn when its container asks for a new start. */
const REBOOT = 133

let done: () => Promise<void>
let work: string
let board: BootedBoard | undefined
const at = (...names: string[]): string => join(work, ...names)

beforeAll(async () => {
  done = await takeTurn('containers')
  work = mkdtempSync(join(tmpdir(), 'bramble-first-boots-'))
  mkdirSync(at('probe/DEBIAN'), { recursive: true })
  writeFileSync(at('probe/DEBIAN/control'), CONTROL)
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', at('probe'), at('good.deb')])
  writeFileSync(at('agent.deb'), 'half a package')
})
afterEach(() => board?.off())
afterAll(async () => {
  rmSync(work, { recursive: true })
  await done()
})

interface Card {
  readonly image: string
  /** The board's files. */
  readonly folder: string
}

/** A board with what customize.sh left on the boot partition. */
function prepare(way: string, fat: Readonly<Record<string, string>>): Card {
  const [image, folder] = [at(`${way}.img`), at(way)]
  makeImage(at('stock.img'), { fat, boot: '/boot/firmware' })
  const args = ['--image', at('stock.img'), '--deb', at('agent.deb'), '--out', image, '--way', way]
  execFileSync('bash', ['firmware-scripts/customize.sh', ...args], { cwd: root, stdio: 'pipe' })
  layOutBoard(folder)
  mkdirSync(join(folder, 'boot/firmware'), { recursive: true })
  execFileSync('mcopy', ['-s', '-i', `${image}@@${FAT_AT}`, '::/', join(folder, 'boot/firmware')])
  // As a mounted FAT shows everything.
  execFileSync('chmod', ['-R', '0755', join(folder, 'boot/firmware')])
  return { image, folder }
}

/** Cloud-init is not on this board: its one command is run as it runs it, and a failure is only logged. */
async function cloudInit(board: BootedBoard): Promise<void> {
  const userData = readFileSync(board.at('boot/firmware/user-data'), 'utf8')
  const [, words = ''] = /^runcmd:\n {2}- \[(.*)\]$/m.exec(userData) ?? []
  await board.inside(`${words.replaceAll(',', '')} || true`)
}

/** The whole of it, as systemd finds it in the kernel's command line, up to the reboot that it asks for. */
function firstrun({ folder }: Card): void {
  const said = readFileSync(join(folder, 'boot/firmware/cmdline.txt'), 'utf8').split(/\s+/)
  const args = ['--directory', folder, '--boot', '--register=no', '--keep-unit', '--private-users=no']
  const words = said.filter((word) => word.startsWith('systemd.'))
  const { status, stdout } = spawnSync('systemd-nspawn', [...args, ...words], { encoding: 'utf8', timeout: 120_000 })
  expect(status, stdout).toBe(REBOOT)
  expect(existsSync(join(folder, 'boot/firmware/firstrun.sh'))).toBe(false)
  expect(readFileSync(join(folder, 'boot/firmware/cmdline.txt'), 'utf8')).toBe(`cgroup_enable=memory ${CMDLINE}`)
}

function unit({ image, folder }: Card): void {
  execFileSync('debugfs', ['-R', `rdump /etc/systemd ${work}`, `${image}?offset=${ROOT_AT}`], { stdio: 'ignore' })
  execFileSync('cp', ['-a', at('systemd'), join(folder, 'etc')])
}

const fat = { 'cmdline.txt': CMDLINE }
test.each([
  { way: 'cloud-init', fat: { ...fat, 'user-data': COMMENTS }, before: () => undefined, hook: cloudInit },
  { way: 'firstrun', fat, before: firstrun, hook: async () => undefined },
  { way: 'unit', fat, before: unit, hook: async () => undefined },
])(
  'a package that could not be installed by $way is installed at the next boot',
  async ({ way, fat, before, hook }) => {
    const card = prepare(way, fat)
    before(card)
    const first = await bootBoard(card.folder)
    board = first
    await hook(first)
    const note = first.at('boot/firmware/bramble-status.txt')
    await until(() => existsSync(note) || undefined)
    expect(readFileSync(note, 'utf8')).toMatch(
      /^The Bramble agent could not be installed\. dpkg says:[\s\S]*agent\.deb[\s\S]*tries again/,
    )
    await first.off()

    cpSync(at('good.deb'), first.at('boot/firmware/bramble/agent.deb'))
    const second = await bootBoard(card.folder)
    board = second
    await until(
      async () => (await second.inside('systemctl is-active bramble-install || true')) === 'inactive' || undefined,
    )
    expect(await second.inside('dpkg --status probe')).toContain('\nStatus: install ok installed\n')
    expect([note, second.at('boot/firmware/bramble/agent.deb')].filter((file) => existsSync(file))).toEqual([])
    expect(await second.inside('systemctl is-enabled bramble-install 2>&1 || true')).toMatch(/No such file|not-found/)
  },
)
