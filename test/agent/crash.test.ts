// Kills the answering process at each of its steps, lets a second one go on, and compares what both together told the
// world with what was on disk when the first one died.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { FIRST_PREV, hashOfBatch } from '../../broker/protocol/receipts.ts'
import { createRig, idOf } from './buffer-rig.ts'

const CHILD = fileURLToPath(new URL('./crash-child.ts', import.meta.url))
const TASKS = 3

interface Life {
  readonly results: readonly string[]
  readonly batches: readonly string[]
  /** Steps it took; undefined when it was killed. */
  readonly steps?: number
}

function live(file: string, keyFile: string, first: number, tasks: number, killAt: number): Promise<Life> {
  const child = spawn(process.execPath, [CHILD, file, keyFile, String(first), String(tasks), String(killAt)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
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

const committed = (file: string): string[] => {
  const db = new Database(file, { readonly: false })
  try {
    return db
      .prepare<[], { task: string }>('SELECT task FROM results WHERE settled_at IS NULL ORDER BY seq')
      .all()
      .map(({ task }) => task)
  } finally {
    db.close()
  }
}

async function killedAt(killAt: number): Promise<Life> {
  const rig = createRig()
  try {
    const keyFile = join(rig.folder, 'key.pem')
    writeFileSync(keyFile, rig.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const before = await live(rig.file, keyFile, 0, TASKS, killAt)
    const owed = before.steps === undefined ? committed(rig.file) : []
    const after = await live(rig.file, keyFile, 100, 1, 0)
    expect(after.steps, 'the second life ends owing nothing').toBeDefined()

    const told = [...before.results, ...after.results].map((payload) => idOf({ payload }))
    for (const payload of before.results)
      expect([...owed, ...itemsOf(rig, before.batches)], 'nothing is published before it is on disk').toContain(
        idOf({ payload }),
      )
    for (const task of owed)
      expect(
        after.results.map((payload) => idOf({ payload })),
        'what was owed is published again',
      ).toContain(task)

    // Sent twice is the same text; each run stands in exactly one batch; the chain has no gap and no fork.
    const batches = new Map<number, string>()
    for (const jws of [...before.batches, ...after.batches]) {
      const { seq } = rig.verify(jws)
      expect(batches.get(seq) ?? jws).toBe(jws)
      batches.set(seq, jws)
    }
    const chain = [...batches.entries()].sort(([a], [b]) => a - b)
    expect(chain.map(([seq]) => seq)).toEqual(chain.map((_, index) => index + 1))
    chain.forEach(([, jws], index) => {
      const previous = chain[index - 1]?.[1]
      expect(rig.verify(jws).prev).toBe(previous === undefined ? FIRST_PREV : hashOfBatch(previous))
    })
    const items = itemsOf(rig, [...batches.values()])
    expect(new Set(items).size).toBe(items.length)
    expect(new Set(items)).toEqual(new Set(told))
    return before
  } finally {
    rig.remove()
  }
}

const itemsOf = (rig: ReturnType<typeof createRig>, batches: readonly string[]): string[] =>
  batches.flatMap((jws) => rig.verify(jws).items.map((item) => item.task))

describe('a killed agent', () => {
  test('loses nothing it had written and repeats nothing differently, wherever it was killed', async () => {
    const { steps = 0 } = await killedAt(0)
    expect(steps).toBeGreaterThanOrEqual(4 * TASKS)
    let killed = 0
    // Two at a time: the machine has two cores.
    for (let at = 1; at <= steps; at += 2) {
      const lives = await Promise.all([killedAt(at), killedAt(at + 1)])
      killed += lives.filter((life) => life.steps === undefined).length
    }
    expect(killed).toBeGreaterThan(steps / 2)
  })
})
