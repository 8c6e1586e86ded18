import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type LockError, lockFolder } from '../../console/lock.ts'

describe('the lock of a data folder', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bramble-lock-'))
  })
  afterEach(async () => {
    await chmod(folder, 0o700)
    await rm(folder, { recursive: true })
  })

  it('lets one in, refuses the second in one sentence, and lets the next in after the release', async () => {
    const release = await lockFolder(folder)
    await expect(lockFolder(folder)).rejects.toThrow(`${folder} is in use by process ${process.pid}`)
    await release()
    await (await lockFolder(folder))()
    expect(await readdir(folder)).toEqual([])
  })

  it('lets one of many in that come at once', async () => {
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)))
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('takes over from a process that is gone', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    await once(child, 'exit')
    await writeFile(join(folder, 'lock'), `${child.pid} 12345`)
    await (await lockFolder(folder))()
  })

  it('takes over when the process id belongs to another process by now', async () => {
    await writeFile(join(folder, 'lock'), `${process.pid} 1`)
    await (await lockFolder(folder))()
  })

  it.skipIf(process.getuid?.() === 0)('says that the folder cannot be written', async () => {
    await chmod(folder, 0o500)
    await expect(lockFolder(folder)).rejects.toMatchObject({ code: 'not-writable' } satisfies Partial<LockError>)
  })

  it('says so when the folder is a file', async () => {
    const file = join(folder, 'file')
    await writeFile(file, '')
    await expect(lockFolder(file)).rejects.toMatchObject({ code: 'not-writable' })
  })
})
