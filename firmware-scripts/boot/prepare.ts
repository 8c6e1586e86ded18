// What comes before the enrolment: the board's name and its Wi-Fi. Done again at each try, so it leaves alone what stands.
import { createHash } from 'node:crypto'
import type { Board } from './board.ts'
import type { EnrolmentFile, Wifi } from './enrolment-file.ts'
import { wifiPlan } from './network.ts'

/** Gone with the boot: what a power cut kept from being run is then run. */
const WIFI_MARK = '/run/bramble-wifi'

/** Returns what the owner should know. */
export async function prepare(board: Board, { name, wifi }: EnrolmentFile): Promise<string[]> {
  return [
    ...(name === undefined ? [] : await setName(board, name)),
    ...(wifi === undefined ? [] : await setWifi(board, wifi)),
  ]
}

async function setName(board: Board, name: string): Promise<string[]> {
  const hosts = board.readFile('/etc/hosts')
  // Or sudo says at each call that it cannot resolve the host.
  const named = hosts?.replace(/^127\.0\.1\.1[ \t].*$/m, `127.0.1.1\t${name}`)
  if (named !== undefined) board.writeFile({ path: '/etc/hosts', mode: 0o644, text: named })
  if (!board.writeFile({ path: '/etc/hostname', mode: 0o644, text: `${name}\n` })) return []
  // Not hostnamectl: it needs D-Bus, which a small system leaves out.
  const failed = await board.run({ program: 'hostname', args: [name], mayFail: true })
  return failed === undefined ? [] : [`the name ${name} counts from the next boot on (${failed})`]
}

async function setWifi(board: Board, wifi: Wifi | 'used'): Promise<string[]> {
  if (wifi === 'used')
    return ['Wi-Fi was left as it is, because its password here is empty; for an open network delete that line']
  const system = board.networkSystem()
  if (system === undefined) return ['Wi-Fi was not set up: this system has neither NetworkManager nor wpa_supplicant']
  const plan = wifiPlan(system, wifi)
  const mark = createHash('sha256').update(JSON.stringify(plan)).digest('hex')
  // A connection that stands is left alone.
  const changed = plan.files.map((file) => board.writeFile(file)).includes(true)
  if (!changed && board.readFile(WIFI_MARK) === mark) return []
  const notes: string[] = []
  for (const command of plan.commands) {
    const failed = await board.run(command)
    if (failed !== undefined && !command.mayFail) notes.push(`${command.program} ${command.args.join(' ')}: ${failed}`)
  }
  if (notes.length === 0) board.writeFile({ path: WIFI_MARK, mode: 0o600, text: mark })
  return notes
}
