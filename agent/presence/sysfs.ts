// Files of /proc and /sys below a root (a written tree in tests). What is not there, or is no number, is absent: never 0.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Tree {
  readonly root: string
  /** Trimmed; undefined when there is no such file, it is empty or it cannot be read. */
  text(path: string): Promise<string | undefined>
  /** Whole numbers only, decimal as the kernel prints them. */
  number(path: string): Promise<number | undefined>
  /** Entries of a folder that match, sorted as a person counts. */
  names(path: string, pattern: RegExp): Promise<string[]>
}

export function openTree(root = '/'): Tree {
  const text = (path: string): Promise<string | undefined> =>
    readFile(join(root, path), 'utf8').then(
      // The device tree ends its texts with a NUL.
      (content) => content.replaceAll('\0', '').trim() || undefined,
      () => undefined,
    )
  return {
    root,
    text,
    async number(path) {
      const content = await text(path)
      return content !== undefined && /^-?\d+$/.test(content) ? Number(content) : undefined
    },
    async names(path, pattern) {
      const all = await readdir(join(root, path)).catch(() => [])
      return all.filter((name) => pattern.test(name)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    },
  }
}

export const defined = <T>(values: readonly (T | undefined)[]): T[] => values.filter((value) => value !== undefined)

export const rounded = (value: number, digits: number): number => Number(value.toFixed(digits))
