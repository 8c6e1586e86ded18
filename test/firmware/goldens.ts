// The golden frames of the default models, and where each kind of CPU's output digests are written down for people.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'

export const MODELS = ['fashion', 'mobilenet-v1', 'silero-vad', 'ssd-mobilenet-v1', 'vibration-ae']

export interface Inferred {
  readonly digest: string
  readonly result: { readonly kind: string; readonly windows?: readonly number[] }
}
interface Manifest {
  readonly determinism: { readonly class: 'exact' | 'exact-per-isa' | 'near' }
  readonly golden: readonly (Inferred & { readonly frame: { readonly path: string } })[]
}

/** `home`: the folder that holds models/. */
export const manifestOf = (home: string, model: string): Manifest =>
  JSON.parse(readFileSync(join(home, 'models', model, 'model.json'), 'utf8')) as Manifest

/** Bit for bit; float arithmetic differs from one architecture to the next in the last digits. */
export function expectGolden(inferred: Inferred, manifest: Manifest, index: number): void {
  const golden = manifest.golden[index]!
  if (manifest.determinism.class === 'exact') expect(inferred.digest).toBe(golden.digest)
  else expect(inferred.result.windows).toEqual(golden.result.windows!.map((score) => expect.closeTo(score, 2)))
}

const TABLE = new URL('../../firmware-scripts/digests.md', import.meta.url)
const HEAD = 3

/**
 * Compares a digest with the cell of its model and kind of CPU in firmware-scripts/digests.md; with BRAMBLE_WRITE_DIGESTS
 * set, what was measured is written there.
 */
export function expectWrittenDigest(kind: string, model: string, digest: string): void {
  const lines = readFileSync(TABLE, 'utf8').split('\n')
  const top = lines.findIndex((line) => line.startsWith('| model'))
  const column = cellsOf(lines[top]!).indexOf(kind)
  const row = lines.findIndex((line, index) => index >= top + HEAD - 1 && cellsOf(line)[0] === model)
  expect([column > 0, row > top], `${kind} and ${model} in firmware-scripts/digests.md`).toEqual([true, true])
  const cells = cellsOf(lines[row]!)
  if (process.env['BRAMBLE_WRITE_DIGESTS'] === undefined) {
    expect(cells[column], `${model} on ${kind}`).toBe(digest.slice(0, 12))
    return
  }
  lines[row] = `| ${cells.with(column, digest.slice(0, 12)).join(' | ')} |`
  writeFileSync(TABLE, lines.join('\n'))
}

const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
