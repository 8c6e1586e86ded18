// Did an inference process start? What it runs on, or why none does; and the moment when one does after all.
import type { Runtime } from '../../broker/protocol/messages.ts'

export interface Start {
  succeeded(runtime: Runtime): void
  failed(fault: Error): void
  /** Present while no process can be started. */
  fault(): Error | undefined
  /** Rejects with the fault. */
  runtime(): Promise<Runtime>
  /** Resolves when a process takes orders, however often it failed before. */
  ready(): Promise<void>
  close(reason: Error): void
}

export function createStart(): Start {
  let runtime: Runtime | undefined
  let fault: Error | undefined
  let waiting: { resolve(runtime: Runtime): void; reject(reason: Error): void }[] = []
  let patient: (() => void)[] = []

  return {
    succeeded(found) {
      runtime = found
      fault = undefined
      for (const { resolve } of waiting) resolve(found)
      for (const resolve of patient) resolve()
      waiting = []
      patient = []
    },
    failed(reason) {
      fault = reason
      for (const { reject } of waiting) reject(reason)
      waiting = []
    },
    fault: () => fault,
    runtime() {
      if (fault) return Promise.reject(fault)
      if (runtime) return Promise.resolve(runtime)
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
    },
    ready: () => (runtime && !fault ? Promise.resolve() : new Promise((resolve) => patient.push(resolve))),
    close(reason) {
      fault = reason
      for (const { reject } of waiting) reject(reason)
      for (const resolve of patient) resolve()
      waiting = []
      patient = []
    },
  }
}
