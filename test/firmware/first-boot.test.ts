import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
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
    const args = [program, '--root', root, '--agent', at('agent')]
    const child = execFile(process.execPath, args, { env: { PATH: at('bin') } }, () => resolve(child.exitCode ?? -1))
  })

const status = (): string => readFileSync(at('boot/firmware/bramble-status.txt'), 'utf8')

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bramble-boot-'))
  mkdirSync(at('boot/firmware'), { recursive: true })
  mkdirSync(at('bin'))
  for (const name of ['nmcli', 'rfkill', 'hostname']) {
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

  test('writes the Wi-Fi where this system keeps it, closed to others', async () => {
    mkdirSync(at('etc/NetworkManager/system-connections'), { recursive: true })
    writeFileSync(
      at('boot/firmware/bramble.toml'),
      `${file}name = "porch"\n[wifi]\nssid = "net"\npassword = "eight chars"\n`,
    )
    agentThat(75, 'away')
    await boot()
    const profile = at('etc/NetworkManager/system-connections/bramble-wifi.nmconnection')
    expect(statSync(profile).mode & 0o777).toBe(0o600)
    expect(readFileSync(profile, 'utf8')).toContain('psk=eight chars\n')
    const commands = readFileSync(at('commands'), 'utf8')
    expect(commands).toMatch(/^hostname porch\n[\s\S]*nmcli connection reload\nnmcli .* up bramble-wifi\n/)
    // Tried again: a connection that stands is left alone.
    await boot()
    expect(readFileSync(at('commands'), 'utf8')).toBe(commands)
  })
})

describe('a Wi-Fi plan', () => {
  const text = (system: 'network-manager' | 'wpa-supplicant', ssid: string, password?: string): string =>
    wifiPlan(system, { ssid, ...(password && { password }), country: 'DE' }).files[0]!.text

  test('survives any name of a network', () => {
    expect(text('network-manager', 'a;ü')).toContain('ssid=97;59;195;188;\n')
    expect(text('wpa-supplicant', 'a"\nü')).toContain('ssid=61220ac3bc\n')
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
