// A package's folder and a data folder as the launcher meets them, with small programs in the place of versions of the agent.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const root = new URL('../..', import.meta.url).pathname

/** What a version does once it has told that it runs. */
export const PROGRAMS = {
  /** Until it is asked to stop. */
  serves: 'tell(); setInterval(() => {}, 1e6)',
  crashes: 'tell(); process.exit(3)',
  /** As agent/software/slots.ts does it. */
  confirms: "fs.renameSync(software + '/trial', software + '/confirmed'); tell(); setInterval(() => {}, 1e6)",
  'confirms, then crashes': "fs.renameSync(software + '/trial', software + '/confirmed'); tell(); process.exit(3)",
  /** A blocked event loop hears no signal. */
  hangs: 'tell(); for (;;);',
  /** As agent/software/starts.ts does it. */
  'gets ready, then crashes': "fs.rmSync(software + '/starts', { force: true }); tell(); process.exit(3)",
} as const
export type Program = keyof typeof PROGRAMS

const source = (version: string, program: Program): string => `
import fs from 'node:fs'
const software = process.env.BRAMBLE_SOFTWARE
const { BRAMBLE_SLOT, BRAMBLE_MODELS, BRAMBLE_PACKAGED, WATCHDOG_PID } = process.env
const told = { version: '${version}', pid: process.pid, args: process.argv.slice(2), BRAMBLE_SLOT, BRAMBLE_MODELS, BRAMBLE_PACKAGED, WATCHDOG_PID }
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
const tell = () => fs.writeSync(1, JSON.stringify(told) + '\\n')
${PROGRAMS[program]}
`

export interface Told {
  readonly version: string
  readonly pid: number
  readonly args: readonly string[]
  readonly BRAMBLE_SLOT: string
  readonly BRAMBLE_MODELS: string
  readonly BRAMBLE_PACKAGED: string
  readonly WATCHDOG_PID?: string
}

export const THIS_BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
const linesOf = (facts: Readonly<Record<string, string>>): string =>
  Object.entries(facts)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')

export function createLaunchPad() {
  const folder = mkdtempSync(join(tmpdir(), 'bramble-launch-'))
  const home = join(folder, 'lib')
  const data = join(folder, 'data')
  const software = join(data, 'software')
  const children: ChildProcess[] = []
  mkdirSync(software, { recursive: true })
  const at = (name: string): string => join(software, name)

  function put(place: string, version: string, program: Program): void {
    mkdirSync(join(place, 'agent'), { recursive: true })
    rmSync(join(place, 'node'), { force: true })
    symlinkSync(process.execPath, join(place, 'node'))
    writeFileSync(join(place, 'package.json'), '{"type":"module"}')
    writeFileSync(join(place, 'agent/main.js'), source(version, program))
  }
  put(home, 'packaged', 'serves')
  cpSync(join(root, 'firmware-scripts/deb/files/launch'), join(home, 'launch'))
  chmodSync(join(home, 'launch'), 0o755)

  const factsOf = (name: string): Record<string, string> | undefined =>
    existsSync(at(name))
      ? Object.fromEntries(
          readFileSync(at(name), 'utf8')
            .split('\n')
            .filter((line) => line.includes('='))
            .map((line) => line.split(/=(.*)/s).slice(0, 2)),
        )
      : undefined

  return {
    folder,
    home,
    data,
    software,
    at,
    put: (slot: 'a' | 'b', program: Program) => put(at(slot), `in ${slot}`, program),
    pack: (program: Program) => put(home, 'packaged', program),
    point(slot: 'a' | 'b'): void {
      rmSync(at('current'), { force: true })
      symlinkSync(slot, at('current'))
    },
    /** As agent/software/slots.ts writes it. */
    tryOut(slot: 'a' | 'b', before: 'a' | 'b' | 'packaged', more: Readonly<Record<string, string>> = {}): void {
      const facts = { slot, before, release: `release-${slot}`, version: `in ${slot}`, bad: '0', ...more }
      writeFileSync(at('trial'), linesOf(facts))
      this.point(slot)
    },
    write: (name: string, facts: Readonly<Record<string, string>>) => writeFileSync(at(name), linesOf(facts)),
    factsOf,
    append: (name: string, text: string) => appendFileSync(at(name), text),
    launch(args: readonly string[] = ['run'], env: Readonly<Record<string, string>> = {}) {
      const child = spawn(join(home, 'launch'), args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
        env: { PATH: process.env['PATH'], BRAMBLE_DATA: data, BRAMBLE_TRIAL_S: '3600', ...env },
      })
      children.push(child)
      const told: Told[] = []
      let errors = ''
      let wake = (): void => {}
      child.stderr.on('data', (chunk) => (errors += chunk))
      createInterface({ input: child.stdout }).on('line', (line) => {
        told.push(JSON.parse(line))
        wake()
      })
      const exited = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
      return {
        child,
        exited,
        told,
        errors: () => errors,
        /** The n-th version that it started. */
        async started(n = 1): Promise<Told> {
          const over = exited.then((code) => Promise.reject(new Error(`ended with ${code}: ${errors}`)))
          over.catch(() => undefined)
          while (told.length < n)
            await Promise.race([
              new Promise<void>((resolve) => {
                wake = resolve
              }),
              over,
            ])
          return told[n - 1]!
        },
        /** As systemd ends what hangs: all of it at once. */
        killAll: () => process.kill(-child.pid!, 'SIGKILL'),
      }
    },
    close(): void {
      for (const { pid } of children)
        try {
          process.kill(-pid!, 'SIGKILL')
        } catch {
          // It has ended, and so have its children.
        }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
export type LaunchPad = ReturnType<typeof createLaunchPad>
