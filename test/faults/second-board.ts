// A second board on what a first one left: its files as they were at one moment, and what the world had been told by then.
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { createWorld, type Past } from './world.ts'

/** Of a board's folder, what a death leaves to the next process. */
export const FILES = ['buffer.db', 'buffer.db-wal', 'key.pem']

export function copyBoard(from: string, to: string): void {
  mkdirSync(to)
  for (const file of FILES) if (existsSync(join(from, file))) copyFileSync(join(from, file), join(to, file))
}

/** Nothing is lost, told twice or owed in the end. `about`: how the first one ended. */
export async function expectGoesOn(folder: string, past: Past, about: string): Promise<void> {
  const second = await createWorld({ folder, past })
  await second.settle()
  expect(second.verdict(), about).toEqual([])
  expect(second.buffer().owed(), about).toBe(0)
  second.close()
}
