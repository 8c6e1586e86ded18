// What the first boot does with bramble.toml, in order: name, Wi-Fi, enrolment, erasure of the secrets, a note for the owner.
import type { Board } from './board.ts'
import { readEnrolmentFile, withoutSecrets } from './enrolment-file.ts'
import { prepare } from './prepare.ts'

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

const listOf = (lines: readonly string[]): string => lines.map((line) => `- ${line}`).join('\n')

/** Answers what the owner is told of it. */
function erase(board: Board, text: string): string {
  const fault = board.overwriteEnrolment(withoutSecrets(text))
  return fault === undefined
    ? 'The token and the Wi-Fi password were erased from bramble.toml.'
    : `The token and the Wi-Fi password stand in bramble.toml still (${fault}): erase them yourself.`
}

export async function applyEnrolment(board: Board): Promise<Applied> {
  const text = board.readEnrolment()
  const read = readEnrolmentFile(text)
  if (!read.ok) {
    const count = read.faults.length === 1 ? 'one thing' : `${read.faults.length} things`
    board.writeStatus(
      page(
        `bramble.toml was not used: ${count} to correct.`,
        listOf(read.faults),
        EXAMPLE,
        'Correct it and start the board again.',
      ),
    )
    return 'wrong-file'
  }
  const { token, console: url, name, wifi } = read.file
  const isNewWifi = wifi !== undefined && wifi !== 'used' && wifi.password !== undefined
  if (token === undefined && !isNewWifi) return 'done'
  const notes = await prepare(board, read.file)
  if (token === undefined) {
    board.writeStatus(page('The Wi-Fi of this board was set anew.', erase(board, text), listOf(notes)))
    return 'done'
  }
  const { outcome, says } = await board.enrol({ console: url, token, ...(name !== undefined && { name }) })
  if (outcome === 'done') {
    board.writeStatus(page(`This board is in: ${says}`, erase(board, text), listOf(notes)))
    return 'done'
  }
  const next =
    outcome === 'refused'
      ? 'Make a new token in the console, put it into bramble.toml and start the board again.'
      : 'The board goes on trying, twice a minute; bramble.toml stays as it is until then.'
  board.writeStatus(page(`This board is not enrolled yet: ${says}`, next, listOf(notes)))
  return outcome === 'refused' ? 'refused' : 'again'
}
