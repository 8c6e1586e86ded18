// Started by systemd at boot where there is a bramble.toml: as root, because the boot partition and the Wi-Fi are root's; what
// talks to the console is a child under the agent's own user.
import { spawn } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { applyEnrolment } from './apply.ts'
import type { Board, Enrolled } from './board.ts'
import { withoutSecrets } from './enrolment-file.ts'

const HELP = `boot.js [--boot FOLDER] [--root FOLDER] [--agent PROGRAM]

Takes bramble.toml from the boot partition: name, Wi-Fi, enrolment. Exit code 0: done, or a fault that only its owner can
correct (bramble-status.txt says it); 75: to be tried again.
  --boot    the boot partition (/boot/firmware, else /boot)
  --root    where the system's files are written (/)
  --agent   the command that enrols (bramble-agent)`

/** EX_TEMPFAIL of sysexits.h, as `bramble-agent enroll` answers too. */
const TRY_AGAIN = 75
const COMMAND_MS = 60_000
const NAME = 'bramble.toml'
/** What Windows makes of it: its editor adds the ending, and its folders hide it. */
const BY_WINDOWS = `${NAME}.txt`

interface Ended {
  readonly code: number | undefined
  readonly out: string
  readonly err: string
}

function runProgram(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: COMMAND_MS, env })
    const said = { out: '', err: '' }
    child.stdout.on('data', (chunk) => (said.out += String(chunk)))
    child.stderr.on('data', (chunk) => (said.err += String(chunk)))
    child.on('error', (error) => resolve({ ...said, code: undefined, err: error.message }))
    child.on('close', (code) => resolve({ ...said, code: code ?? undefined }))
  })
}

/** The same blocks: nothing is cut off before, and the bytes are on the card when this returns. */
function overwrite(file: string, text: string): void {
  const handle = openSync(file, 'r+')
  try {
    writeSync(handle, text, 0)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** A partition may be read-only, by its owner's wish or for a fault in its FAT. What that keeps from being done; undefined: it is done. */
function attempt(write: () => void): string | undefined {
  try {
    write()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const textOf = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8') : undefined)

/** False: it is so already, word by word. */
function replace(file: string, text: string, mode: number): boolean {
  const isNew = textOf(file) !== text
  const written = isNew ? `${file}.new` : file
  mkdirSync(dirname(file), { recursive: true })
  if (isNew) writeFileSync(written, text, { mode, flush: true })
  // The umask takes from what is asked above, and systemd-networkd, no root, must read its own.
  chmodSync(written, mode)
  if (isNew) renameSync(written, file)
  return isNew
}

interface Places {
  readonly boot: string
  readonly root: string
  readonly agent: string
}

function openBoard({ boot, root, agent }: Places): Board {
  const hasFolder = (folder: string): boolean => existsSync(join(root, folder))
  return {
    readEnrolment: () => readFileSync(join(boot, NAME), 'utf8'),
    overwriteEnrolment: (text) => attempt(() => overwrite(join(boot, NAME), text)),
    writeStatus(text) {
      console.log(text.replaceAll('\r', ''))
      const file = join(boot, 'bramble-status.txt')
      // A board tries for days where its console is away: FAT has no journal, and a card wears out.
      const fault = attempt(() => {
        if (textOf(file) !== text) writeFileSync(file, text, { flush: true })
      })
      if (fault !== undefined) console.error(`this is not on the card: ${fault}`)
    },
    networkSystem() {
      if (hasFolder('etc/NetworkManager')) return 'network-manager'
      return hasFolder('etc/wpa_supplicant') ? 'wpa-supplicant' : undefined
    },
    readFile: (path) => textOf(join(root, path)),
    writeFile: ({ path, mode, text }) => replace(join(root, path), text, mode),
    async run({ program, args }) {
      const { code, err } = await runProgram(program, args, process.env)
      return code === 0 ? undefined : (err.trim().split('\n').at(-1) ?? `exit code ${code}`)
    },
    async enrol({ console: url, token, name }): Promise<Enrolled> {
      // By the environment: the arguments of a process can be read by every user.
      const env = { ...process.env, BRAMBLE_TOKEN: token }
      const args = ['enroll', '--console', url, ...(name === undefined ? [] : ['--name', name])]
      const { code, out, err } = await runProgram(agent, args, env)
      if (code === 0) return { outcome: 'done', says: out.trim().split(';', 1)[0] ?? '' }
      const says = err.trim() || `${agent} ended with ${code ?? 'no exit code'}`
      return { outcome: code === TRY_AGAIN || code === undefined ? 'later' : 'refused', says }
    },
  }
}

const holdsFile = (folder: string): boolean => [NAME, BY_WINDOWS].some((name) => existsSync(join(folder, name)))

const folderOfBoot = (root: string): string =>
  ['boot/firmware', 'boot'].map((folder) => join(root, folder)).find(holdsFile) ?? join(root, 'boot')

/** The board itself makes none of Windows' name: where both are, this one is what the owner put there last. */
function takeNewest(boot: string): void {
  const [file, newer] = [join(boot, NAME), join(boot, BY_WINDOWS)]
  if (!existsSync(newer)) return
  const before = textOf(file)
  if (before !== undefined) overwrite(file, withoutSecrets(before))
  renameSync(newer, file)
}

const { values } = parseArgs({
  options: {
    boot: { type: 'string' },
    root: { type: 'string', default: '/' },
    agent: { type: 'string', default: 'bramble-agent' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) console.log(HELP)
else {
  const boot = values.boot ?? folderOfBoot(values.root)
  if (!holdsFile(boot)) console.log(`there is no ${NAME} in ${boot}: nothing to do`)
  else {
    takeNewest(boot)
    if ((await applyEnrolment(openBoard({ ...values, boot }))) === 'again') process.exitCode = TRY_AGAIN
  }
}
