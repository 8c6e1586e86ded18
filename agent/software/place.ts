// Which version of the agent this process is, and where the others lie: told by the launcher of the Debian package, without which
// nobody could go back from a bad one.
import { join, resolve } from 'node:path'
import type { Arch } from '../../broker/protocol/software.ts'

export const SLOTS = ['a', 'b'] as const
export type Slot = (typeof SLOTS)[number]
/** The version that the Debian package brought: always there, never changed by an update. */
export type Version = Slot | 'packaged'

export interface Place {
  /** Of the slots and the records beside them. */
  readonly root: string
  /** Folder of the package's own version. */
  readonly packaged: string
  readonly running: Version
}

type Environment = Readonly<Record<string, string | undefined>>

export const isSlot = (text: string | undefined): text is Slot => SLOTS.some((slot) => slot === text)

/** Undefined where no launcher started this process, or one that looks after another data folder. */
export function placeOf({ BRAMBLE_SOFTWARE, BRAMBLE_PACKAGED, BRAMBLE_SLOT }: Environment, data: string) {
  const root = join(resolve(data), 'software')
  if (BRAMBLE_PACKAGED === undefined || BRAMBLE_SOFTWARE === undefined || resolve(BRAMBLE_SOFTWARE) !== root)
    return undefined
  const running: Version = isSlot(BRAMBLE_SLOT) ? BRAMBLE_SLOT : 'packaged'
  return { root, packaged: BRAMBLE_PACKAGED, running } satisfies Place
}

const ARCHES: Readonly<Record<string, Arch>> = { arm64: 'arm64', x64: 'amd64' }

/** In Debian's words; undefined where no packages are made for it. */
export const archOf = (nodeArch: string): Arch | undefined => ARCHES[nodeArch]
