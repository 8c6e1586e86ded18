// A board in a container: systemd is process 1, its files lie in a folder of this machine, and commands run in it from outside.
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { rootFileSystem } from './root-file-system.ts'

const LOOK_MS = 500

/** Until `look` answers something; the test's own limit ends it. */
export async function until<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    await wait(LOOK_MS)
  }
}

export function layOutBoard(folder: string): void {
  mkdirSync(folder, { recursive: true })
  execFileSync('tar', ['-xf', rootFileSystem(), '-C', folder])
}

export async function bootBoard(folder: string) {
  const args = ['--directory', folder, '--boot', '--register=no', '--keep-unit', '--private-users=no']
  const container = spawn('systemd-nspawn', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [container.stdout, container.stderr]) stream.on('data', (chunk) => (said += chunk))

  /** Process 1 of the container, as this machine numbers it. */
  const leader = (): string | undefined => {
    const file = `/proc/${container.pid}/task/${container.pid}/children`
    const [child] = readFileSync(file, 'utf8').split(' ')
    return child || undefined
  }
  const inside = async (command: string): Promise<string> => {
    const { stdout } = await promisify(execFile)('nsenter', ['-t', leader() ?? '', '-a', 'bash', '-c', command], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LANG: 'C' },
    })
    return stdout.trim()
  }
  await until(async () => {
    if (container.exitCode !== null) throw new Error(`the container ended: ${said}`)
    const state = leader() && (await inside('systemctl is-system-running || true').catch(() => ''))
    return state && /^(running|degraded)/.test(state) ? true : undefined
  })
  return {
    inside,
    at: (name: string): string => join(folder, name),
    async off(): Promise<void> {
      if (container.exitCode !== null) return
      const exited = once(container, 'exit')
      container.kill('SIGTERM')
      await exited
    },
  }
}
export type BootedBoard = Awaited<ReturnType<typeof bootBoard>>
