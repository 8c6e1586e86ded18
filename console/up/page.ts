// The page is built when its sources are newer than what was built: a newcomer's first start, or after an edit.
import { spawn } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'

/** What the page is made of, beside console/ui itself. */
const SOURCES = ['console/ui', 'console/routes', 'console/app.ts', 'broker/protocol', 'package-lock.json']

async function newest(path: string): Promise<number> {
  const info = await stat(path).catch(() => undefined)
  if (info === undefined) return 0
  if (!info.isDirectory()) return info.mtimeMs
  let latest = 0
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.name === 'dist' || entry.name === 'node_modules') continue
    latest = Math.max(latest, await newest(join(path, entry.name)))
  }
  return latest
}

/** `root` is the folder of the package. */
export async function isStale(root: string): Promise<boolean> {
  const built = await stat(join(root, 'console/ui/dist/index.html')).catch(() => undefined)
  if (built === undefined) return true
  const sources = await Promise.all(SOURCES.map((source) => newest(join(root, source))))
  return Math.max(...sources) > built.mtimeMs
}

/** Resolves when the page is built, or could not be: the console serves without it and the log says why. */
export function buildPage(root: string, log: Logger, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const vite = join(root, 'node_modules/vite/bin/vite.js')
    const child = spawn(
      process.execPath,
      [vite, 'build', '--config', 'console/ui/vite.config.ts', '--logLevel', 'warn'],
      {
        cwd: root,
        env: { ...process.env, NO_COLOR: '1' },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    let complaint = ''
    const stop = () => child.kill('SIGTERM')
    signal.addEventListener('abort', stop, { once: true })
    child.stderr.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString('utf8')).slice(-2000)
    })
    const end = (code: number | null, reason: string) => {
      signal.removeEventListener('abort', stop)
      if (code === 0) log.info('the page is built')
      else if (!signal.aborted) log.error({ reason }, 'the page could not be built; run npm run build to see why')
      resolve()
    }
    child.once('error', (error) => end(null, error.message))
    child.once('exit', (code) => end(code, complaint.slice(0, 400)))
  })
}
