// Lives of the answering process (crash-child.ts), and what must hold over two of them on one folder: the first is killed
// somewhere, the second goes on.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { judge } from '../faults/judge.ts'
import { createRig, idOf } from './buffer-rig.ts'

const CHILD = fileURLToPath(new URL('./crash-child.ts', import.meta.url))
const TASKS = 3

interface Life {
  readonly results: readonly string[]
  readonly batches: readonly string[]
  /** Steps it took; undefined when it was killed. */
  readonly steps?: number
}

function live(command: readonly string[]): Promise<Life> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code !== 0 && signal !== 'SIGKILL') return reject(new Error(`ended with ${code ?? signal}`))
      // A line cut by the kill was never handed over whole.
      const lines = text.split('\n').slice(0, -1)
      const after = (word: string) => lines.filter((l) => l.startsWith(`${word} `)).map((l) => l.slice(word.length + 1))
      const [steps] = after('done')
      resolve({
        results: after('out'),
        batches: after('receipts'),
        ...(steps !== undefined && { steps: Number(steps) }),
      })
    })
  })
}

/** What the file says was done and the console has not acknowledged; nothing when it was killed before there was a table. */
function committed(file: string): string[] {
  const db = new Database(file)
  try {
    const { version } = db
      .prepare<[], { version: number }>('SELECT user_version AS version FROM pragma_user_version')
      .get()!
    if (version < 2) return []
    return db
      .prepare<[], { task: string }>('SELECT task FROM results WHERE seq > (SELECT coalesce(max(row), 0) FROM acks)')
      .all()
      .map(({ task }) => task)
  } finally {
    db.close()
  }
}

export interface Fate {
  /** Steps of the first life; undefined when it was killed. */
  readonly steps: number | undefined
  /** What is wrong, in sentences; empty when all is well. */
  readonly faults: readonly string[]
}

/**
 * One life that is killed at step `killAt` (0: by nobody but what `wrap` does, which gets the child's command line and the
 * outbox's path), and a second one.
 */
export async function twoLives(
  killAt: number,
  wrap: (command: readonly string[], file: string) => readonly string[] = (command) => command,
): Promise<Fate> {
  const rig = createRig()
  try {
    const keyFile = join(rig.folder, 'key.pem')
    writeFileSync(keyFile, rig.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const command = (first: number, tasks: number, at: number): string[] =>
      [process.execPath, CHILD, rig.file, keyFile, first, tasks, at].map(String)
    const before = await live(wrap(command(0, TASKS, killAt), rig.file))
    const owed = before.steps === undefined ? committed(rig.file) : []
    const after = await live(command(100, 1, 0))

    const idsOf = (life: Life): string[] => life.results.map((payload) => idOf({ payload }))
    const inBatches = before.batches.flatMap((jws) => rig.verify(jws).items.map((item) => item.task))
    const faults = judge({
      accepted: [...owed, ...idsOf(before), ...idsOf(after)],
      answers: [...before.results, ...after.results].map((payload) => ({ task: idOf({ payload }), payload })),
      batches: [...before.batches, ...after.batches],
      verify: rig.verify,
    })
    if (after.steps === undefined) faults.push('the second life does not end owing nothing')
    if (before.steps === undefined)
      for (const task of idsOf(before))
        if (![...owed, ...inBatches].includes(task)) faults.push(`${task} was published before it was on disk`)
    for (const task of owed)
      if (!idsOf(after).includes(task)) faults.push(`${task} was owed and is not published again`)
    return { steps: before.steps, faults }
  } finally {
    rig.remove()
  }
}
