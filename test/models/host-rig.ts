// Inference hosts that are closed after their test, and what is asked of them.
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { onTestFinished, vi } from 'vitest'
import type { ModelPackage } from '../../models/catalog.ts'
import { createHost, type HostOptions, type InferenceHost } from '../../models/runtime/host.ts'
import { inPackage, json } from './zoo.ts'

export function host(options: Partial<HostOptions> = {}): InferenceHost {
  const made = createHost({ log: pino({ level: 'silent' }), ...options })
  onTestFinished(() => made.close())
  return made
}

export const programs = (name: string): string => fileURLToPath(new URL(`programs/${name}`, import.meta.url))

export const both = (inference: InferenceHost): Promise<boolean> =>
  vi.waitUntil(() => inference.size() === 2, { timeout: 20_000, interval: 5 })

export const pidsOf = (inference: InferenceHost): number[] => inference.stats().processes.map(({ pid }) => pid)

export async function goldenFrame(pkg: ModelPackage, at = 0) {
  const golden = pkg.manifest.golden[at]!
  return { contentType: golden.contentType, data: await inPackage(pkg, golden.frame.path) }
}

/** A minute of silence: 1,875 windows, half a second and more of real work. */
export const longClip = { contentType: 'application/json', data: json({ samples: new Array(16_000 * 60).fill(0) }) }

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
