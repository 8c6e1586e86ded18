// The console's own secrets in DATA/keys, made at the first start and readable by their owner alone.
import { chmod, mkdir, open, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

export class SecretError extends Error {
  override readonly name = 'SecretError'
  readonly code = 'too-open'
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'

/** Writes a file that did not exist, 0600 and on the disk before it counts. */
export async function writeSecret(file: string, text: string, flag: 'wx' | 'w' = 'wx'): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const handle = await open(file, flag, 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await chmod(file, 0o600)
}

/** The secret, or undefined when there is no such file. A file that others may read is refused. */
export async function readSecret(file: string): Promise<string | undefined> {
  try {
    const mode = (await stat(file)).mode & 0o777
    if ((mode & 0o077) !== 0)
      throw new SecretError(`${file} has mode 0${mode.toString(8)} and others may read it; run: chmod 600 ${file}`)
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export async function readOrMakeSecret(file: string, make: () => string): Promise<string> {
  const known = await readSecret(file)
  if (known !== undefined && known !== '') return known
  const made = make()
  await writeSecret(file, made, 'w')
  return made
}
