import { execFile } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { applyEnrolment } from '../../firmware-scripts/boot/apply.ts'
import type { Board } from '../../firmware-scripts/boot/board.ts'
import { wifiPlan } from '../../firmware-scripts/boot/network.ts'

const program = new URL('../../firmware-scripts/boot/main.ts', import.meta.url).pathname
const file = 'console = "http://10.0.0.2:8080"\ntoken = "a-token"\n'
let root: string
const at = (path: string): string => join(root, path)

/** A stand-in for the command, which notes how it was called and ends as it is told. */
function agentThat(code: number, says: string): void {
  const script = `#!/bin/sh\necho "$* token=$BRAMBLE_TOKEN" >>${at('called')}\necho '${says}' >&${code === 0 ? 1 : 2}\nexit ${code}\n`
  writeFileSync(at('agent'), script)
  chmodSync(at('agent'), 0o755)
}

/** Only stand-ins are on the PATH: nothing of the machine that runs the tests is touched. */
const boot = (): Promise<number> =>
  new Promise((resolve) => {
    // As bramble-agent-boot.service runs it: closed to others is the rule there, and what others must read needs more.
    const args = ['-c', 'umask 077; exec "$@"', 'sh', process.execPath, program, '--root', root, '--agent', at('agent')]
    const child = execFile('/bin/sh', args, { env: { PATH: at('bin') } }, () => resolve(child.exitCode ?? -1))
  })

const modeOf = (path: string): number => statSync(at(path)).mode & 0o777
const commands = (): string => readFileSync(at('commands'), 'utf8')
const toml = (more: string): void => writeFileSync(at('boot/firmware/bramble.toml'), `${file}${more}`)
const status = (): string => readFileSync(at('boot/firmware/bramble-status.txt'), 'utf8')

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bramble-boot-'))
  mkdirSync(at('boot/firmware'), { recursive: true })
  mkdirSync(at('bin'))
  for (const name of ['nmcli', 'rfkill', 'hostname', 'iw', 'systemctl']) {
    writeFileSync(at(`bin/${name}`), `#!/bin/sh\necho "${name} $*" >>${at('commands')}\n`, { mode: 0o755 })
  }
  writeFileSync(at('boot/firmware/bramble.toml'), file)
})
afterEach(() => rmSync(root, { recursive: true }))

describe('the first boot', () => {
  test('enrols under the name that the file gives', async () => {
    writeFileSync(at('boot/firmware/bramble.toml'), `${file}name = "porch"\n`)
    agentThat(0, 'enrolled as porch (d1); start it with: x')
    expect(await boot()).toBe(0)
    const called = readFileSync(at('called'), 'utf8')
    expect(called).toBe('enroll --console http://10.0.0.2:8080 --name porch token=a-token\n')
  })

  test('enrols once, erases the token and says so', async () => {
    agentThat(0, 'enrolled as brave-red-fox (d1); start it with: x')
    expect(await boot()).toBe(0)
    expect(readFileSync(at('called'), 'utf8')).toBe('enroll --console http://10.0.0.2:8080 token=a-token\n')
    expect(status()).toMatch(/This board is in: enrolled as brave-red-fox \(d1\)\r\n/)
    const left = readFileSync(at('boot/firmware/bramble.toml'), 'utf8')
    expect(left).not.toContain('a-token')
    expect(left).toHaveLength(file.length)
    expect(await boot()).toBe(0)
    expect(readFileSync(at('called'), 'utf8').split('\n')).toHaveLength(2)
  })

  test('asks to be tried again while the console is away, and keeps the token', async () => {
    agentThat(75, 'the console at x cannot be reached')
    expect(await boot()).toBe(75)
    expect(status()).toMatch(/not enrolled yet: the console at x cannot be reached[\s\S]*goes on trying/)
    expect(readFileSync(at('boot/firmware/bramble.toml'), 'utf8')).toBe(file)
  })

  test('gives up on a refusal, which only the owner can mend', async () => {
    agentThat(2, 'the console refused: this token is spent')
    expect(await boot()).toBe(0)
    expect(status()).toMatch(/this token is spent[\s\S]*Make a new token/)
  })

  test('explains a wrong file beside it and asks nobody', async () => {
    writeFileSync(at('boot/firmware/bramble.toml'), 'console = x\n')
    agentThat(0, '')
    expect(await boot()).toBe(0)
    expect(status()).toMatch(/2 things to correct[\s\S]*line 1: the value of console[\s\S]*token is missing/)
    expect(existsSync(at('called'))).toBe(false)
  })

  test('finds the file on the boot partition of older systems, and does nothing where there is none', async () => {
    agentThat(0, 'enrolled as a (b)')
    rmSync(at('boot/firmware'), { recursive: true })
    expect(await boot()).toBe(0)
    expect(existsSync(at('called'))).toBe(false)
    writeFileSync(at('boot/bramble.toml'), file)
    expect(await boot()).toBe(0)
    expect(readFileSync(at('boot/bramble-status.txt'), 'utf8')).toContain('enrolled as a (b)')
  })

  test('takes a file that Windows called bramble.toml.txt', async () => {
    agentThat(0, 'enrolled as a (b)')
    renameSync(at('boot/firmware/bramble.toml'), at('boot/firmware/bramble.toml.txt'))
    expect(await boot()).toBe(0)
    expect(status()).toContain('enrolled as a (b)')
    expect(readFileSync(at('boot/firmware/bramble.toml'), 'utf8')).not.toContain('a-token')
    expect(existsSync(at('boot/firmware/bramble.toml.txt'))).toBe(false)
  })

  test('takes a file of that name also where the one of before lies, of which nothing stays readable', async () => {
    agentThat(0, 'enrolled as a (b)')
    toml('name = "wrong name"\n')
    writeFileSync(at('boot/firmware/bramble.toml.txt'), file.replace('a-token', 'newer'))
    const before = openSync(at('boot/firmware/bramble.toml'), 'r')
    expect(await boot()).toBe(0)
    expect(readFileSync(at('called'), 'utf8')).toContain('token=newer')
    expect(readFileSync(before, 'utf8')).not.toContain('a-token')
    closeSync(before)
  })

  test('is done with a card that takes no changes: it enrols once, and says what it could not erase', async () => {
    let told = ''
    const board: Board = {
      readEnrolment: () => file,
      overwriteEnrolment: () => 'EROFS',
      writeStatus: (text) => (told = text),
      networkSystem: () => undefined,
      readFile: () => undefined,
      writeFile: () => false,
      run: async () => undefined,
      enrol: async () => ({ outcome: 'done', says: 'enrolled' }),
    }
    expect(await applyEnrolment(board)).toBe('done')
    expect(told).toMatch(/enrolled[\s\S]*stand in bramble.toml still \(EROFS\): erase them yourself/)
  })

  test('is done as well where the note cannot be written', async () => {
    agentThat(0, 'enrolled as a (b)')
    mkdirSync(at('boot/firmware/bramble-status.txt'))
    expect(await boot()).toBe(0)
  })

  test('writes the same words once, however long the console is away', async () => {
    agentThat(75, 'away')
    await boot()
    utimesSync(at('boot/firmware/bramble-status.txt'), 1, 1)
    await boot()
    expect(statSync(at('boot/firmware/bramble-status.txt')).mtimeMs).toBe(1000)
  })

  test('gives the name to the files that every program reads', async () => {
    mkdirSync(at('etc'))
    writeFileSync(at('etc/hosts'), '127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n10.0.0.7 other\n')
    toml('name = "porch"\n')
    agentThat(75, 'away')
    await boot()
    expect(readFileSync(at('etc/hosts'), 'utf8')).toBe('127.0.0.1\tlocalhost\n127.0.1.1\tporch\n10.0.0.7 other\n')
    expect(readFileSync(at('etc/hostname'), 'utf8')).toBe('porch\n')
    expect([modeOf('etc/hosts'), modeOf('etc/hostname')]).toEqual([0o644, 0o644])
    expect(commands()).toBe('hostname porch\n')
  })
})

describe('Wi-Fi at the first boot', () => {
  const WIFI = '[wifi]\nssid = "net"\npassword = "eight chars"\ncountry = "DE"\n'
  const PROFILE = 'etc/NetworkManager/system-connections/bramble-wifi.nmconnection'
  beforeEach(() => {
    agentThat(75, 'away')
    toml(WIFI)
  })
  const onNetworkManager = (): void => void mkdirSync(at('etc/NetworkManager/system-connections'), { recursive: true })

  test('is written where this system keeps it, closed to others', async () => {
    onNetworkManager()
    await boot()
    expect(modeOf(PROFILE)).toBe(0o600)
    expect(readFileSync(at(PROFILE), 'utf8')).toContain('psk=eight chars\n')
    expect(commands()).toMatch(/nmcli connection reload\nnmcli .* up bramble-wifi\n$/)
  })

  test('is open to systemd-networkd, but for the password, whatever modes the files had', async () => {
    mkdirSync(at('etc/wpa_supplicant'), { recursive: true })
    const files = [
      ['etc/systemd/network/25-bramble-wifi.network', 0o644],
      ['etc/modprobe.d/bramble-wifi.conf', 0o644],
      ['etc/wpa_supplicant/wpa_supplicant-wlan0.conf', 0o600],
    ] as const
    await boot()
    expect(files.map(([path]) => [path, modeOf(path)])).toEqual(files)
    for (const [path] of files) chmodSync(at(path), 0o640)
    await boot()
    expect(files.map(([path]) => [path, modeOf(path)])).toEqual(files)
  })

  test('keeps its country at later boots', async () => {
    onNetworkManager()
    await boot()
    expect(readFileSync(at('etc/modprobe.d/bramble-wifi.conf'), 'utf8')).toContain(
      'options cfg80211 ieee80211_regdom=DE\n',
    )
  })

  test('is left alone within a boot, and looked after again in the next one', async () => {
    onNetworkManager()
    await boot()
    const once = commands()
    await boot()
    expect(commands()).toBe(once)
    rmSync(at('run'), { recursive: true })
    await boot()
    expect(commands()).toBe(once + once)
  })

  test('is tried again when a command fails that must not', async () => {
    onNetworkManager()
    const nmcli = readFileSync(at('bin/nmcli'), 'utf8')
    writeFileSync(at('bin/nmcli'), '#!/bin/sh\necho "no such thing" >&2\nexit 1\n')
    await boot()
    expect(status()).toContain('- nmcli connection reload: no such thing')
    writeFileSync(at('bin/nmcli'), nmcli)
    await boot()
    expect(commands()).toMatch(/nmcli connection reload\nnmcli .* up bramble-wifi\n$/)
    expect(status()).not.toContain('nmcli')
  })

  test('is set anew when only its password is new, which is erased', async () => {
    onNetworkManager()
    agentThat(0, 'enrolled as a (b)')
    await boot()
    const used = readFileSync(at('boot/firmware/bramble.toml'), 'utf8')
    writeFileSync(at('boot/firmware/bramble.toml'), used.replace('password = ""', 'password = "another one"'))
    await boot()
    expect(readFileSync(at('called'), 'utf8').match(/enroll/g)).toHaveLength(1)
    expect(readFileSync(at(PROFILE), 'utf8')).toContain('psk=another one\n')
    expect(readFileSync(at('boot/firmware/bramble.toml'), 'utf8')).toMatch(/^password = "" *$/m)
    expect(status()).toMatch(/^The Wi-Fi of this board was set anew\./)
  })

  test('stays as it is when only the token is new', async () => {
    onNetworkManager()
    agentThat(0, 'enrolled as a (b)')
    await boot()
    const [profile, once] = [readFileSync(at(PROFILE), 'utf8'), commands()]
    const used = readFileSync(at('boot/firmware/bramble.toml'), 'utf8')
    rmSync(at('run'), { recursive: true })
    writeFileSync(at('boot/firmware/bramble.toml'), used.replace('token = ""', 'token = "another"'))
    await boot()
    expect(readFileSync(at('called'), 'utf8')).toContain('token=another')
    expect(readFileSync(at(PROFILE), 'utf8')).toBe(profile)
    expect(commands().slice(once.length)).not.toContain('nmcli')
    expect(status()).toContain('Wi-Fi was left as it is')
  })
})

describe('a Wi-Fi plan', () => {
  const text = (system: 'network-manager' | 'wpa-supplicant', ssid: string, password?: string): string =>
    wifiPlan(system, { ssid, ...(password && { password }), country: 'DE' }).files[0]!.text

  test('survives any name of a network', () => {
    expect(text('network-manager', 'a;ü')).toContain('ssid=97;59;195;188;\n')
    expect(text('wpa-supplicant', 'a"\nü')).toContain('ssid=61220ac3bc\n')
  })

  test('starts wpa_supplicant anew, which may run with the settings of before', () => {
    const { commands } = wifiPlan('wpa-supplicant', { ssid: 'net' })
    expect(commands.map(({ program, args }) => [program, ...args].join(' ')).slice(-4)).toEqual([
      'systemctl enable wpa_supplicant@wlan0.service',
      'systemctl stop wpa_supplicant@wlan0.service',
      'systemctl --no-block start wpa_supplicant@wlan0.service',
      'systemctl restart systemd-networkd.service',
    ])
  })

  test('leaves the password out of an open network', () => {
    expect(text('network-manager', 'open')).not.toContain('wifi-security')
    expect(text('wpa-supplicant', 'open')).toContain('key_mgmt=NONE')
  })

  test('keeps a raw key unquoted and escapes what key files would eat', () => {
    expect(text('wpa-supplicant', 'n', 'ab'.repeat(32))).toContain(`psk=${'ab'.repeat(32)}\n`)
    expect(text('network-manager', 'n', ' back\\slash')).toContain('psk=\\sback\\\\slash\n')
  })
})
