// Is an agent at work on this data folder? It holds a lock on its outbox, which the kernel lists; the file is not touched.
import { readFileSync, statSync } from 'node:fs'

/** `1: POSIX  ADVISORY  WRITE 4242 fe:00:131 1073741824 …`: process, and device and inode of the file. */
const LOCK = /^\d+: \S+ +\S+ +\S+ +(-?\d+) +\S+:(\d+) /gm

/** The process that has a lock on the file; 0 when the kernel does not tell which (another namespace). */
export function holderOf(file: string, root = '/'): number | undefined {
  const inode = statSync(file, { throwIfNoEntry: false })?.ino
  if (inode === undefined) return undefined
  for (const [, pid = '', held] of textOf(`${root}proc/locks`).matchAll(LOCK)) {
    if (Number(held) !== inode) continue
    if (Number(pid) <= 0) return 0
    // Another file of that number on another disk is not ours.
    const command = textOf(`${root}proc/${pid}/cmdline`).replaceAll('\0', ' ')
    if (command === '' || /bramble-agent|agent\/main/.test(command)) return Number(pid)
  }
  return undefined
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
