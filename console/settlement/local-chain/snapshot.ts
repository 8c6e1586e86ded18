// Snapshot files of the chain state: written beside, flushed, then renamed, so that a file with the right name is whole.
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const NAME = /^state-(\d+)\.svm$/

const sequenceOf = (file: string): number => Number(NAME.exec(file)?.[1] ?? -1)

const flushed = (path: string, flags: string, write?: Uint8Array): void => {
  const fd = openSync(path, flags)
  try {
    if (write) writeSync(fd, write)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The state after transaction `seq`. Older files go once the new one is in place. */
export function writeSnapshot(folder: string, seq: number, state: Uint8Array): void {
  const file = `state-${seq}.svm`
  flushed(join(folder, 'state.tmp'), 'w', state)
  renameSync(join(folder, 'state.tmp'), join(folder, file))
  flushed(folder, 'r')
  for (const old of readdirSync(folder)) if (sequenceOf(old) >= 0 && old !== file) rmSync(join(folder, old))
}

/** The newest snapshot not ahead of the journal; undefined means: run everything from the beginning. */
export function readSnapshot(folder: string, upTo: number): { seq: number; state: Uint8Array } | undefined {
  const found = readdirSync(folder)
    .map((file) => ({ file, seq: sequenceOf(file) }))
    .filter(({ seq }) => seq >= 0 && seq <= upTo)
    .sort((a, b) => b.seq - a.seq)[0]
  return found && { seq: found.seq, state: readFileSync(join(folder, found.file)) }
}
