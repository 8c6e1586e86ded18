// Runs a small program of the system, such as vcgencmd, and gives up on it soon.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { RunProgram } from './throttling.ts'

const LIMIT_MS = 2_000
/** A program that was refused (a group, a device) is asked again after this long, not at every heartbeat. */
const REST_MS = 10 * 60_000

/** Rests per program: the arguments make no difference to whether it may run. */
export function createPrograms(elapsed: () => number): RunProgram {
  const failedAt = new Map<string, number>()
  return (file, args) => {
    if (!existsSync(file)) return Promise.resolve(undefined)
    if (elapsed() - (failedAt.get(file) ?? Number.NEGATIVE_INFINITY) < REST_MS) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      execFile(file, [...args], { timeout: LIMIT_MS, killSignal: 'SIGKILL' }, (error, stdout) => {
        if (error) failedAt.set(file, elapsed())
        resolve(error ? undefined : stdout)
      })
    })
  }
}
