// Under which numbers the receipts of this process name it and what ran. Models may run on different execution providers, and one
// that comes later on another than those before: each provider has a number of its own.
import type { Runtime } from '../broker/protocol/messages.ts'
import type { Buffer } from './outbox/buffer.ts'

export interface Origins {
  /** `runtime` as the host says it. */
  begin(runtime: Runtime): void
  hasBegun(): boolean
  /** Undefined before it has begun. `provider` undefined: as the host said. */
  of(provider: string | undefined): number | undefined
}

export function createOrigins(buffer: Pick<Buffer, 'origin'>, boot: string): Origins {
  const numbers = new Map<string, number>()
  let runtime: Runtime | undefined

  function numberOf(base: Runtime, provider: string): number {
    const number = numbers.get(provider) ?? buffer.origin(boot, { ...base, provider })
    numbers.set(provider, number)
    return number
  }

  return {
    begin(said) {
      runtime = said
    },
    hasBegun: () => runtime !== undefined,
    of: (provider) => runtime && numberOf(runtime, provider ?? runtime.provider),
  }
}
