// What the first boot does with bramble.toml, in order: name, Wi-Fi, enrolment, erasure of the secrets, a note for the owner.
import { type EnrolmentFile, readEnrolmentFile, withoutSecrets } from './enrolment-file.ts'
import { type Command, type NetworkSystem, type SystemFile, wifiPlan } from './network.ts'

export interface Enrolment {
  readonly console: string
  readonly token: string
  readonly name?: string
}

/** `later`: the console or the network is away. */
export type Enrolled =
  | { readonly outcome: 'done'; readonly says: string }
  | { readonly outcome: 'refused' | 'later'; readonly says: string }

export interface Board {
  readEnrolment(): string
  /** Over the old bytes, down to the card. */
  overwriteEnrolment(text: string): void
  /** bramble-status.txt beside it. */
  writeStatus(text: string): void
  /** Undefined: there is none that we know. */
  networkSystem(): NetworkSystem | undefined
  /** False: it was there already, word by word. */
  writeFile(file: SystemFile): boolean
  /** What it said, when it failed. */
  run(command: Command): Promise<string | undefined>
  enrol(enrolment: Enrolment): Promise<Enrolled>
}

/** `again`: this should be tried once more in a while. */
export type Applied = 'done' | 'wrong-file' | 'refused' | 'again'

const EXAMPLE = `A whole file looks like this:

  console = "http://192.168.1.2:8080"
  token = "the token from the console's page Add board"

  [wifi]
  ssid = "My network"
  password = "its password"
  country = "DE"
`
/** Written for Windows' editors too. */
const page = (...parts: readonly string[]): string => `${parts.join('\n\n')}\n`.replaceAll('\n', '\r\n')

export async function applyEnrolment(board: Board): Promise<Applied> {
  const text = board.readEnrolment()
  const read = readEnrolmentFile(text)
  if (!read.ok) {
    const count = read.faults.length === 1 ? 'one thing' : `${read.faults.length} things`
    const list = read.faults.map((fault) => `- ${fault}`).join('\n')
    board.writeStatus(
      page(`bramble.toml was not used: ${count} to correct.`, list, EXAMPLE, 'Correct it and start the board again.'),
    )
    return 'wrong-file'
  }
  const { token, console: url, name } = read.file
  if (token === undefined) return 'done'
  const notes = await prepare(board, read.file)
  const { outcome, says } = await board.enrol({ console: url, token, ...(name !== undefined && { name }) })
  const also = notes.map((note) => `- ${note}`).join('\n')
  if (outcome === 'done') {
    board.overwriteEnrolment(withoutSecrets(text))
    board.writeStatus(
      page(`This board is in: ${says}`, 'The token and the Wi-Fi password were erased from bramble.toml.', also),
    )
    return 'done'
  }
  const next =
    outcome === 'refused'
      ? 'Make a new token in the console, put it into bramble.toml and start the board again.'
      : 'The board goes on trying, twice a minute; bramble.toml stays as it is until then.'
  board.writeStatus(page(`This board is not enrolled yet: ${says}`, next, also))
  return outcome === 'refused' ? 'refused' : 'again'
}

/** Name and Wi-Fi; returns what the owner should know. */
async function prepare(board: Board, { name, wifi }: EnrolmentFile): Promise<string[]> {
  const notes: string[] = []
  // Not hostnamectl: it needs D-Bus, which a small system leaves out.
  if (name !== undefined && board.writeFile({ path: '/etc/hostname', mode: 0o644, text: `${name}\n` })) {
    const failed = await board.run({ program: 'hostname', args: [name], mayFail: true })
    if (failed !== undefined) notes.push(`the name ${name} counts from the next boot on (${failed})`)
  }
  if (wifi === undefined) return notes
  const system = board.networkSystem()
  if (system === undefined) {
    notes.push('Wi-Fi was not set up: this system has neither NetworkManager nor wpa_supplicant')
    return notes
  }
  const { files, commands } = wifiPlan(system, wifi)
  // Tried again every half minute: a connection that stands is left alone.
  const changed = files.map((file) => board.writeFile(file)).includes(true)
  for (const command of changed ? commands : []) {
    const failed = await board.run(command)
    if (failed !== undefined && !command.mayFail) notes.push(`${command.program} ${command.args.join(' ')}: ${failed}`)
  }
  return notes
}
