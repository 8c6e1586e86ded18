// Starts the inference process: small heaps, few allocator arenas, no secrets of ours in its environment.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { openCodeCache } from './code-cache.ts'
import type { HostSettings } from './messages.ts'

/** A .ts file beside this one, or, in the package for boards, a .js file beside the bundle. */
const PROGRAM = fileURLToPath(new URL(`./host-process${extname(import.meta.url)}`, import.meta.url))

const NODE_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=128', '--expose-gc', '--no-warnings']

/**
 * Measured with ssd-mobilenet-v1 and 640-px frames: 4 MiB less resident. Large blocks (pixels, tensors, the model file while it
 * is read) come from and go back to the system instead of leaving holes in the heap.
 */
const SMALL_MALLOC = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' }

/**
 * ONNX Runtime 1.30 otherwise reads the machine's id, keeps a database of events in ~/.cache and a log in /tmp, and sends them
 * off: nobody was asked, a card wears by it, and it is 4 MiB and a thread more.
 */
const SILENT = { ORT_DISABLE_TELEMETRY: '1' }

/** What a native library may need; nothing else of the parent's environment goes to a process that eats foreign bytes. */
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'LD_LIBRARY_PATH', 'CUDA_VISIBLE_DEVICES']

export const defaultCacheFolder = (): string => join(homedir(), '.cache', 'bramble')

/** The folder, private to this user; undefined where it cannot be made or has no room: then the process starts without a cache. */
function madeFolder(folder: string): string | undefined {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    return openCodeCache(folder, folder) ? folder : undefined
  } catch {
    return undefined
  }
}

export function spawnHost(settings: HostSettings, cacheFolder: string, log: Logger, program = PROGRAM): ChildProcess {
  const cache = madeFolder(cacheFolder)
  const inherited = PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
  const child = fork(
    program,
    [JSON.stringify({ ...settings, mayRestart: settings.mayRestart && cache !== undefined })],
    {
      serialization: 'advanced',
      execArgv: NODE_FLAGS,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: {
        ...Object.fromEntries(inherited),
        ...SMALL_MALLOC,
        ...SILENT,
        UV_THREADPOOL_SIZE: '2',
        ...(cache !== undefined && { NODE_COMPILE_CACHE: cache }),
      },
    },
  )
  if (child.stderr)
    createInterface({ input: child.stderr }).on('line', (line) => log.warn({ pid: child.pid }, line.slice(0, 500)))
  return child
}
