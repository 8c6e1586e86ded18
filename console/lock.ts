// One console per data folder: a lock file with the holder's process id. A lock whose process is gone is taken over.
import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export class LockError extends Error {
  override readonly name = 'LockError'
  readonly code: 'in-use' | 'not-writable'

  constructor(code: LockError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')

/** When that process started, in clock ticks since boot: a process id is given to another process one day. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // Fields are counted after the name, which is in parentheses and may hold spaces; the start time is number 22.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

/** The pid in the lock, when that very process still runs. */
async function holderOf(file: string): Promise<number | undefined> {
  const [pidText = '', start = ''] = (await readFile(file, 'utf8').catch(() => '')).split(' ')
  const pid = Number(pidText)
  if (!Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined
  const runningSince = await startOf(pid)
  return runningSince === undefined || start === '' || runningSince === start ? pid : undefined
}

/** `link` fails when the name exists, so of two that try at once one gets it, and its content is whole from the start. */
async function tryLock(own: string, file: string): Promise<boolean> {
  try {
    await link(own, file)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Removes a lock whose holder is gone; puts it back when another process had taken it over in the meantime. */
async function moveAside(file: string, aside: string): Promise<void> {
  try {
    await rename(file, aside)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  if ((await holderOf(aside)) !== undefined) await tryLock(aside, file)
  await unlink(aside)
}

/** Locks `folder`, made when absent; the answer releases it. Rejects with LockError. */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const file = join(folder, 'lock')
  const own = join(folder, `lock.${randomUUID()}`)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeFile(own, `${process.pid} ${(await startOf(process.pid)) ?? ''}`, { mode: 0o600 })
    for (let attempt = 0; attempt < 3; attempt++) {
      if (await tryLock(own, file)) return () => rm(file, { force: true })
      const holder = await holderOf(file)
      if (holder !== undefined)
        throw new LockError(
          'in-use',
          `${folder} is in use by process ${holder}: stop it, or choose another folder with --data`,
        )
      await moveAside(file, `${own}.old`)
    }
    throw new LockError('in-use', `${folder} is being taken by another process: try again`)
  } catch (error) {
    if (error instanceof LockError) throw error
    const message = `cannot write ${folder} (${error instanceof Error ? error.message : String(error)}): check that it belongs to this user, or choose another with --data`
    throw new LockError('not-writable', message, error)
  } finally {
    await unlink(own).catch(() => undefined)
  }
}
