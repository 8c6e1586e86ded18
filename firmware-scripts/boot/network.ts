// Wi-Fi as the board's system keeps it: a NetworkManager profile, or wpa_supplicant with systemd-networkd.
import type { Wifi } from './enrolment-file.ts'

export interface SystemFile {
  /** Absolute. */
  readonly path: string
  readonly mode: number
  readonly text: string
}

export interface Command {
  readonly program: string
  readonly args: readonly string[]
  /** The board goes on when it fails: it may have no such radio, or no such program. */
  readonly mayFail: boolean
}

export interface Plan {
  readonly files: readonly SystemFile[]
  readonly commands: readonly Command[]
}

export type NetworkSystem = 'network-manager' | 'wpa-supplicant'

const isRawKey = (password: string): boolean => /^[0-9a-f]{64}$/i.test(password)

/** GLib key files: leading blanks and backslashes need a backslash. */
const keyfileText = (value: string): string => value.replaceAll('\\', '\\\\').replace(/^ /, '\\s')

/** As a list of bytes: any network name survives it. */
const keyfileBytes = (value: string): string => [...Buffer.from(value)].map((byte) => `${byte};`).join('')

const countryCommands = ({ country }: Wifi): Command[] =>
  country === undefined ? [] : [{ program: 'iw', args: ['reg', 'set', country], mayFail: true }]

/** `iw` is forgotten at the next boot; the kernel's own setting is not. */
const countryFiles = ({ country }: Wifi): SystemFile[] =>
  country === undefined
    ? []
    : [
        {
          path: '/etc/modprobe.d/bramble-wifi.conf',
          mode: 0o644,
          text: `# From bramble.toml.\noptions cfg80211 ieee80211_regdom=${country}\n`,
        },
      ]

const UNBLOCK: Command = { program: 'rfkill', args: ['unblock', 'wifi'], mayFail: true }

function networkManager(wifi: Wifi): Plan {
  const security =
    wifi.password === undefined ? '' : `\n[wifi-security]\nkey-mgmt=wpa-psk\npsk=${keyfileText(wifi.password)}\n`
  const text = `# From bramble.toml.
[connection]
id=bramble-wifi
type=wifi
autoconnect-retries=0

[wifi]
mode=infrastructure
ssid=${keyfileBytes(wifi.ssid)}
${security}
[ipv4]
method=auto

[ipv6]
method=auto
`
  return {
    files: [
      { path: '/etc/NetworkManager/system-connections/bramble-wifi.nmconnection', mode: 0o600, text },
      ...countryFiles(wifi),
    ],
    commands: [
      ...countryCommands(wifi),
      UNBLOCK,
      { program: 'nmcli', args: ['radio', 'wifi', 'on'], mayFail: true },
      { program: 'nmcli', args: ['connection', 'reload'], mayFail: false },
      // Out of reach now may be in reach later: NetworkManager tries by itself.
      { program: 'nmcli', args: ['--wait', '30', 'connection', 'up', 'bramble-wifi'], mayFail: true },
    ],
  }
}

function wpaSupplicant(wifi: Wifi): Plan {
  const { ssid, password, country } = wifi
  const key =
    password === undefined ? '  key_mgmt=NONE' : isRawKey(password) ? `  psk=${password}` : `  psk="${password}"`
  const text = `# From bramble.toml.
ctrl_interface=/run/wpa_supplicant
${country === undefined ? '' : `country=${country}\n`}network={
  ssid=${Buffer.from(ssid).toString('hex')}
${key}
}
`
  const network = '# From bramble.toml.\n[Match]\nName=wlan0\n\n[Network]\nDHCP=yes\n'
  return {
    files: [
      { path: '/etc/wpa_supplicant/wpa_supplicant-wlan0.conf', mode: 0o600, text },
      { path: '/etc/systemd/network/25-bramble-wifi.network', mode: 0o644, text: network },
      ...countryFiles(wifi),
    ],
    commands: [
      ...countryCommands(wifi),
      UNBLOCK,
      { program: 'systemctl', args: ['enable', 'wpa_supplicant@wlan0.service'], mayFail: false },
      // It may run with the settings of before. Not `restart`, which would not wait for a radio that comes late; nor do we here.
      { program: 'systemctl', args: ['stop', 'wpa_supplicant@wlan0.service'], mayFail: true },
      { program: 'systemctl', args: ['--no-block', 'start', 'wpa_supplicant@wlan0.service'], mayFail: false },
      { program: 'systemctl', args: ['restart', 'systemd-networkd.service'], mayFail: true },
    ],
  }
}

/** What has to be written and run so that the board joins the network, now and at each boot. */
export const wifiPlan = (system: NetworkSystem, wifi: Wifi): Plan =>
  system === 'network-manager' ? networkManager(wifi) : wpaSupplicant(wifi)
