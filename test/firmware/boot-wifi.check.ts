// What of the image needs no console, which is away here: Wi-Fi, between two radios of the kernel's own simulator, of which one is the
// access point; the journal's limit; and the board's own watchdog, which must start it anew when systemd is gone.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildImage, IMAGE } from './built.ts'
import { addShell, type Guest, HOST_AS_SEEN, partsOf, startGuest } from './guest.ts'
import { takeTurn } from './turns.ts'

const TOML = `console = "http://${HOST_AS_SEEN}:1"
token = "t"
[wifi]
ssid = "Grandma's net"
password = "eight chars"
country = "DE"
`
const ACCESS_POINT = `cat >/run/ap.conf <<'END'
network={
  ssid="Grandma's net"
  mode=2
  frequency=2412
  key_mgmt=WPA-PSK
  psk="eight chars"
}
END
wpa_supplicant -B -i wlan1 -c /run/ap.conf`
const NETWORK_FILE = '/etc/systemd/network/25-bramble-wifi.network'
/** The watchdog counts 15 s from the last sign of life, in a guest that may be slow. */
const RESET_MS = 120_000

let done: () => Promise<void>
let work: string
let guest: Guest

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'bramble-wifi-'))
  await buildImage()
  done = await takeTurn('emulator')
  const card = join(work, 'card.img')
  execFileSync('cp', ['--sparse=always', `${IMAGE}.img`, card])
  truncateSync(card, 2 * 2 ** 30)
  addShell(card, work)
  writeFileSync(join(work, 'bramble.toml'), TOML)
  execFileSync('mcopy', ['-i', `${card}@@${partsOf(card)[0]!.start * 512}`, join(work, 'bramble.toml'), '::/'])
  guest = await startGuest({ card, stem: IMAGE, work })
})
afterAll(async () => {
  await guest.cut()
  rmSync(work, { recursive: true })
  await done()
})

test('the board joins the Wi-Fi of bramble.toml, and its network daemon can read what was written for it', async () => {
  const { sh } = guest
  await expect.poll(() => sh('cat /run/bramble-wifi'), { timeout: 240_000 }).toMatch(/^[0-9a-f]{64}$/)
  expect(await sh(`setpriv --reuid systemd-network --clear-groups cat ${NETWORK_FILE}`)).toMatch(
    /Name=wlan0[\s\S]*DHCP=yes/,
  )
  // systemd-networkd had it loaded before the file was there: as at a later boot.
  await sh('modprobe -r cfg80211; modprobe mac80211_hwsim radios=2')
  expect(await sh('cat /sys/module/cfg80211/parameters/ieee80211_regdom')).toBe('DE')
  await sh(ACCESS_POINT)
  await expect.poll(() => sh('wpa_cli -i wlan0 status'), { timeout: 180_000 }).toMatch(/^wpa_state=COMPLETED$/m)
  await expect.poll(() => sh('networkctl status wlan0'), { timeout: 60_000 }).toContain(`Network File: ${NETWORK_FILE}`)
})

test('the journal stays in memory and small', async () => {
  expect(await guest.sh('journalctl -b -u systemd-journald')).toMatch(/Runtime Journal .*, max 16\.0M/)
  expect(await guest.sh('ls /var/log/journal')).toMatch(/No such file/)
})

test('the board starts anew by its own watchdog when systemd does nothing any more', async () => {
  expect(await guest.sh('cat /sys/class/watchdog/watchdog0/state')).toBe('active')
  await guest.sh('kill -SEGV 1')
  await expect(Promise.race([guest.off(), late(RESET_MS)])).resolves.toBeUndefined()
  // Neither asked for by systemd, nor the kernel's own end.
  expect(guest.console()).not.toMatch(/reboot: |Kernel panic/)
})

const late = (ms: number): Promise<string> => new Promise((resolve) => setTimeout(() => resolve('still running'), ms))
