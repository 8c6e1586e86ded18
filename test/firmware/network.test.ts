// The Wi-Fi profile as NetworkManager's own code reads it: what it makes of ours must be what it would have written itself.
import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Wifi } from '../../firmware-scripts/boot/enrolment-file.ts'
import { wifiPlan } from '../../firmware-scripts/boot/network.ts'

function nmcli(args: readonly string[], input?: string): string {
  const { status, stdout, stderr } = spawnSync('nmcli', ['--offline', ...args], { input, encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return stdout
}

/** The sections that say which network, and how to get in. */
const networkOf = (profile: string): string[] =>
  profile.split('\n').filter((line) => /^(mode|ssid|key-mgmt|psk|method|autoconnect-retries|type)=/.test(line))

function asWritten({ ssid, password }: Wifi): string {
  const [file] = wifiPlan('network-manager', { ssid, ...(password !== undefined && { password }) }).files
  return nmcli(['connection', 'modify', 'connection.id', 'bramble-wifi'], file?.text ?? '')
}

const asNetworkManagerWould = ({ ssid, password }: Wifi): string =>
  nmcli([
    ...['connection', 'add', 'type', 'wifi', 'con-name', 'bramble-wifi', 'ssid', ssid],
    ...['connection.autoconnect-retries', '0', 'ipv4.method', 'auto', 'ipv6.method', 'auto'],
    ...(password === undefined ? [] : ['wifi-sec.key-mgmt', 'wpa-psk', 'wifi-sec.psk', password]),
  ])

const printable = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code))
const passwords = fc.array(printable, { minLength: 8, maxLength: 63 }).map((chars) => chars.join(''))
const names = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
  .filter((name) => Buffer.byteLength(name) <= 32 && !name.includes('\0'))

describe.skipIf(spawnSync('nmcli', ['--version']).error)('a profile for NetworkManager', () => {
  test.each<Wifi>([
    { ssid: "Grandma's net", password: 'eight chars' },
    { ssid: 'a;b\\c', password: ' \\ends;with; ' },
    { ssid: '日本 ☕', password: '#no=comment[]' },
    { ssid: ' ', password: '0123456789abcdef'.repeat(4) },
    { ssid: 'open' },
  ])('is read as it was meant: %j', (wifi) => {
    expect(networkOf(asWritten(wifi))).toEqual(networkOf(asNetworkManagerWould(wifi)))
  })

  test('is read as it was meant, whatever the network and its password are called', () => {
    fc.assert(
      fc.property(names, passwords, (ssid, password) => {
        const wifi = { ssid, password }
        expect(networkOf(asWritten(wifi))).toEqual(networkOf(asNetworkManagerWould(wifi)))
      }),
      { numRuns: 40 },
    )
  })
})
