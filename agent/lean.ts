// Replaces this process by one with the memory settings of a small board.
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { missingFlags, restart } from '../broker/launch.js'
import { openCodeCache } from '../models/runtime/code-cache.ts'

/**
 * MiB of young generation: the default of 16 makes a process that handles frames several times as large as it need be.
 * No optimising compilers: measured at 130 frames/s they save no CPU here (the work is in SQLite, sockets and the
 * inference host) and their own code is 8 MiB of resident memory.
 */
const NODE_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=192', '--no-opt', '--no-maglev', '--expose-gc']

/**
 * One arena and fixed thresholds: glibc otherwise keeps what large short-lived buffers leave behind (a model file read for
 * its digest: tens of MiB).
 */
const ALLOCATOR = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' }
const CACHE_FILLED = 'BRAMBLE_CODE_CACHED'

/**
 * Node's type stripper is a WebAssembly module of 17 MiB that stays in memory. Its work is in the compile cache after one
 * start. The list is undocumented; without it nothing restarts a second time.
 */
function hasTypeStripper(): boolean {
  const { moduleLoadList = [] } = process as { moduleLoadList?: readonly string[] }
  return moduleLoadList.includes('NativeModule internal/deps/amaro/dist/index')
}

/**
 * Does not return when the process is replaced. Compiled code is kept in the folder `data`. `load` imports what the process
 * will need, so that it is in the cache.
 */
export async function becomeLean(
  env: Readonly<Record<string, string | undefined>>,
  data: string,
  load: () => Promise<unknown>,
): Promise<void> {
  // Node 22 before 22.15 has no execve; the agent then runs with the defaults.
  if (typeof process.execve !== 'function') return
  if (missingFlags(NODE_FLAGS).length > 0)
    return replace({ ...env, ...ALLOCATOR, NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] ?? cacheIn(data) })
  await load()
  if (!hasTypeStripper() || env['NODE_COMPILE_CACHE'] === undefined || env[CACHE_FILLED] !== undefined) return
  flushCompileCache()
  replace({ ...env, [CACHE_FILLED]: 'yes' })
}

function cacheIn(data: string): string | undefined {
  const folder = join(data, 'code')
  return openCodeCache(folder, data) ? folder : undefined
}

function replace(env: Readonly<Record<string, string | undefined>>): void {
  const entries = Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
  restart(process.argv[1] ?? '', NODE_FLAGS, Object.fromEntries(entries))
}
