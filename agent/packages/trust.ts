// Whose signature counts on this board: the publishers that the console names, or, where the owner pinned some, only those.
import { readFileSync } from 'node:fs'
import { publisherKeyOf } from '../../broker/protocol/packages.ts'

export class TrustError extends Error {
  override readonly name = 'TrustError'
  readonly code: 'unreadable' | 'bad-publisher'
  constructor(code: TrustError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** Publisher ids and their raw Ed25519 keys, base64url. */
export type Publishers = ReadonlyMap<string, string>

interface Pins {
  /** The setting that names them, for whoever made a mistake there. */
  readonly flag?: string
  /** One `id:key` per line; empty lines and lines that begin with # are skipped. */
  readonly file?: string
  /** Each `id:key`. */
  readonly named?: readonly string[]
}

/** Undefined when nothing is pinned. Throws TrustError. */
export function readPins({ flag = '--trust-publisher', file, named }: Pins): Publishers | undefined {
  if (file === undefined && named === undefined) return undefined
  const lines = file === undefined ? [] : linesOf(file).map((line) => [line, file] as const)
  const flags = (named ?? []).map((line) => [line, flag] as const)
  return new Map([...lines, ...flags].map(([line, source]) => publisherOf(line, source)))
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'))
  } catch (error) {
    throw new TrustError('unreadable', `the file of publisher keys ${file} cannot be read`, error)
  }
}

function publisherOf(line: string, source: string): [string, string] {
  const [, id, key] = /^([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_-]{43})$/.exec(line) ?? []
  if (id === undefined || key === undefined || !isKey(key))
    throw new TrustError(
      'bad-publisher',
      `${source}: "${line}" is no publisher: write ID:KEY, the key as 43 base64url digits`,
    )
  return [id, key]
}

function isKey(raw: string): boolean {
  try {
    publisherKeyOf(raw)
    return true
  } catch {
    return false
  }
}
