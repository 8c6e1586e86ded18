// Which machine a native file is for, by its first bytes: a package must hold files of its own architecture only.
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'

export const ARCHITECTURES = ['arm64', 'amd64'] as const
/** In Debian's words. */
export type Architecture = (typeof ARCHITECTURES)[number]

/** e_machine of the ELF header. */
const MACHINES: Readonly<Record<number, Architecture>> = { 62: 'amd64', 183: 'arm64' }
const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46])
/** PE, 32-bit and 64-bit Mach-O, universal Mach-O: what packages for other systems hold. */
const FOREIGN = [
  [0x4d, 0x5a],
  [0xfe, 0xed, 0xfa],
  [0xcf, 0xfa, 0xed, 0xfe],
  [0xce, 0xfa, 0xed, 0xfe],
  [0xca, 0xfe, 0xba, 0xbe],
].map((bytes) => Buffer.from(bytes))

/** Undefined: no native code. `other`: of a machine or a system that we do not package for. */
export function machineOf(head: Uint8Array): Architecture | 'other' | undefined {
  const bytes = Buffer.from(head)
  if (bytes.subarray(0, 4).equals(ELF)) return (bytes.length >= 20 && MACHINES[bytes.readUInt16LE(18)]) || 'other'
  return FOREIGN.some((magic) => bytes.subarray(0, magic.length).equals(magic)) ? 'other' : undefined
}

function headOf(file: string): Buffer {
  const handle = openSync(file, 'r')
  try {
    const head = Buffer.alloc(20)
    return head.subarray(0, readSync(handle, head))
  } finally {
    closeSync(handle)
  }
}

export interface Native {
  /** From the folder. */
  readonly file: string
  readonly machine: Architecture | 'other'
}

/** Every native file under `folder`; links are not followed. */
export function nativeFiles(folder: string): Native[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    if (!entry.isFile()) return []
    const file = join(entry.parentPath, entry.name)
    const machine = machineOf(headOf(file))
    return machine === undefined ? [] : [{ file: file.slice(folder.length + 1), machine }]
  })
}
