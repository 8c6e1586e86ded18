// A disk that stands still after so many changes, as at a power cut: the functions of node:fs are wrapped, so that none is forgotten.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'

/** Lets `changes` changes below a folder happen; from then on none is made there, ever, as if the machine stood still. */
export function createDisk() {
  const patched: [Record<string, unknown>, string, unknown][] = []
  const dead = new Set<string>()
  let watched = ''
  let left = 0
  let died: () => void = () => {}

  const isBelow = (path: unknown, root: string): boolean => typeof path === 'string' && path.startsWith(`${root}/`)

  /** False when this change is not made any more. */
  function spend(path: unknown): boolean {
    if ([...dead].some((root) => isBelow(path, root))) return false
    if (watched === '' || !isBelow(path, watched)) return true
    left -= 1
    if (left >= 0) return true
    dead.add(watched)
    died()
    return false
  }
  /** A folder is not deleted in one go. */
  function half(folder: string): void {
    const names = fs.existsSync(folder) && fs.statSync(folder).isDirectory() ? fs.readdirSync(folder).sort() : []
    for (const name of names.slice(names.length >> 1)) unlink(join(folder, name), { recursive: true })
  }
  const unlink = fs.rmSync
  const never = (): Promise<never> => new Promise(() => {})

  type Call = (...args: unknown[]) => unknown
  function patch(table: object, names: readonly string[], wrap: (original: Call) => Call): void {
    const functions = table as Record<string, Call>
    for (const name of names) {
      const original = functions[name]!
      patched.push([functions, name, original])
      functions[name] = wrap(original)
    }
  }
  patch(fs.promises, ['rename', 'mkdir'], (original) => (...args) => {
    return spend(args[0]) ? original(...args) : never()
  })
  patch(fs.promises, ['rm'], (original) => (...args) => {
    if (spend(args[0])) return original(...args)
    half(String(args[0]))
    return never()
  })
  patch(fs.promises, ['link', 'copyFile'], (original) => (...args) => {
    return spend(args[1]) ? original(...args) : never()
  })
  patch(
    fs.promises,
    ['chmod'],
    (original) =>
      (...args) =>
        spend(args[0]) ? original(...args) : never(),
  )
  patch(fs, ['symlinkSync'], (original) => (...args) => {
    if (spend(args[1])) return original(...args)
    throw new Error('the machine stands still')
  })
  patch(fs, ['renameSync', 'rmSync', 'mkdirSync', 'writeFileSync'], (original) => (...args) => {
    if (spend(args[0])) return original(...args)
    throw new Error('the machine stands still')
  })
  patch(fs.promises, ['open'], (original) => async (path, flags, ...rest) => {
    if (flags !== 'r' && !spend(path)) return never()
    const handle = (await original(path, flags, ...rest)) as object
    const methods = flags === 'r' ? [] : ['write', 'writeFile', 'sync']
    patch(
      handle,
      methods,
      (method) =>
        (...args) =>
          spend(path) ? method.apply(handle, args) : never(),
    )
    return handle
  })
  syncBuiltinESMExports()
  return {
    /** Resolves when the first change was not made. */
    stopAfter(changes: number, root: string): Promise<void> {
      watched = root
      left = changes
      return new Promise((resolve) => {
        died = resolve
      })
    },
    restore(): void {
      for (const [table, name, original] of patched) table[name] = original
      syncBuiltinESMExports()
    },
  }
}
