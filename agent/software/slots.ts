// The slots and the records beside them, which the launcher (firmware-scripts/deb/files/launch) reads and writes too: lines
// NAME=value, each replaced by one rename. The order of the changes is chosen so that each may be the last before a power cut.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { digestOfRelease } from '../../broker/protocol/packages.ts'
import { removeLeftovers, writePrivate } from '../private-file.ts'
import { isSlot, type Slot, type Version } from './place.ts'

export interface Named {
  readonly release: string
  readonly version: string
}

export interface GoneBack extends Named {
  readonly why: string
  /** The console has stopped wanting it since: it may be tried again. */
  readonly forgiven: boolean
}

export interface Slots {
  folderOf(slot: Slot): string
  /** The signed release in a slot; undefined where there is none. */
  signedIn(slot: Slot): string | undefined
  /** The release in a slot by its digest. */
  holds(slot: Slot): string | undefined
  /** What the next start runs. */
  current(): Version
  /** The slot whose version is new. */
  onTrial(): Slot | undefined
  goneBack(): GoneBack | undefined
  forgive(): void
  /** The next start runs this slot, on trial. */
  switchTo(slot: Slot, named: Named, before: Version): void
  /** The trial was passed. */
  confirm(): void
  /** What is still missing for that; the launcher names it when it goes back. Does not throw. */
  doubt(reason: string | undefined): void
}

/** Newlines would end a value. */
const linesOf = (facts: Readonly<Record<string, string>>): string =>
  Object.entries(facts)
    .map(([name, value]) => `${name}=${value.replaceAll(/\s+/g, ' ')}\n`)
    .join('')

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function readFacts(file: string): Readonly<Record<string, string>> {
  const lines = readText(file)?.split('\n') ?? []
  return Object.fromEntries(lines.flatMap((line) => [/^(\w+)=(.*)$/.exec(line)?.slice(1) ?? []]).filter((f) => f[0]))
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

export function openSlots(root: string): Slots {
  mkdirSync(root, { recursive: true, mode: 0o700 })
  removeLeftovers(root)
  const at = (name: string): string => join(root, name)
  const signedIn = (slot: Slot): string | undefined => readText(join(at(slot), '.release'))

  function goneBack(): GoneBack | undefined {
    const { release = '', version = 'unknown', why, forgiven } = readFacts(at('gone-back'))
    return why === undefined ? undefined : { release, version, why, forgiven: forgiven === 'yes' }
  }

  return {
    folderOf: at,
    signedIn,
    holds(slot) {
      const jws = signedIn(slot)
      return jws === undefined ? undefined : digestOfRelease(jws)
    },
    current() {
      try {
        const name = readlinkSync(at('current'))
        return isSlot(name) ? name : 'packaged'
      } catch {
        return 'packaged'
      }
    },
    onTrial() {
      const { slot } = readFacts(at('trial'))
      return isSlot(slot) ? slot : undefined
    },
    goneBack,
    forgive() {
      const { forgiven, ...facts } = goneBack() ?? { forgiven: true }
      if (!forgiven) writePrivate(at('gone-back'), linesOf({ ...facts, forgiven: 'yes' }))
    },
    switchTo(slot, { release, version }, before) {
      rmSync(at('doubt'), { force: true })
      // The trial first: while `current` does not name its slot it counts for nothing, and from the rename on it does.
      writePrivate(at('trial'), linesOf({ slot, before, release, version, bad: '0' }))
      rmSync(at('.current.new'), { force: true })
      symlinkSync(slot, at('.current.new'))
      renameSync(at('.current.new'), at('current'))
      syncFolder(root)
    },
    confirm() {
      renameSync(at('trial'), at('confirmed'))
      for (const name of ['doubt', 'gone-back']) rmSync(at(name), { force: true })
      syncFolder(root)
    },
    doubt(reason) {
      try {
        if (reason === undefined) rmSync(at('doubt'), { force: true })
        else writeFileSync(at('doubt'), `${reason.replaceAll(/\s+/g, ' ')}\n`, { mode: 0o600 })
      } catch {
        // Only words: that the trial is not passed is known without them.
      }
    },
  }
}
