// kill -9 in front of every single write to the outbox's files, also those inside a commit and a checkpoint: strace counts
// them in one run and kills at each in the others.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { twoLives } from '../agent/crash-lives.ts'
import { need } from './needs.ts'

const CALLS = ['pwrite64', 'fsync', 'fdatasync', 'ftruncate', 'unlink'] as const

function missing(): string | undefined {
  try {
    execFileSync('strace', ['-f', '-e', 'trace=none', 'true'], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `strace cannot be used here: ${error instanceof Error ? error.message.split('\n')[0] : error}`
  }
}

it('a commit that is cut short anywhere loses nothing and repeats nothing differently', async (context) => {
  need(context, missing())
  const folder = mkdtempSync(join(tmpdir(), 'syscalls-'))
  const log = join(folder, 'log')
  const traced =
    (...more: string[]) =>
    (command: readonly string[], file: string): string[] => [
      ...['strace', '-f', '-qq', '-o', log, '-e', `trace=${CALLS.join(',')}`],
      ...['-P', file, '-P', `${file}-wal`, ...more, ...command],
    ]
  try {
    expect((await twoLives(0, traced())).faults).toEqual([])
    const text = readFileSync(log, 'utf8')
    let killed = 0
    for (const call of CALLS) {
      const times = text.split('\n').filter((line) => line.includes(`${call}(`)).length
      for (let when = 1; when <= times; when += 1) {
        const fate = await twoLives(0, traced('-e', `inject=${call}:signal=SIGKILL:when=${when}`))
        expect(fate.faults, `killed before ${call} number ${when}`).toEqual([])
        if (fate.steps === undefined) killed += 1
      }
    }
    expect(killed).toBeGreaterThan(30)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
