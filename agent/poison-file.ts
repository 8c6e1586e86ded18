// What this board refuses as poison, for whoever looks at the data folder: the outbox itself is locked while the agent runs.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { PoisonRow } from './outbox/poison.ts'
import { writePrivate } from './private-file.ts'

export const Refused = z.object({
  inputs: z.int().positive(),
  /** Of the newest. */
  at: z.int(),
  reason: z.string(),
})
export type Refused = z.infer<typeof Refused>

const fileIn = (data: string): string => join(data, 'poison.json')

const said = (inputs: number, { at, reason }: PoisonRow): Refused => ({ inputs, at, reason })

/** A disk that does not take it is said elsewhere. */
export function writeRefused(data: string, rows: readonly PoisonRow[]): void {
  const newest = rows.at(-1)
  try {
    if (newest === undefined) rmSync(fileIn(data), { force: true })
    else writePrivate(fileIn(data), `${JSON.stringify(said(rows.length, newest))}\n`)
  } catch {
    // The outbox has it all the same, or the next start will know nothing of it either.
  }
}

export function readRefused(data: string): Refused | undefined {
  try {
    return Refused.safeParse(JSON.parse(readFileSync(fileIn(data), 'utf8'))).data
  } catch {
    return undefined
  }
}
