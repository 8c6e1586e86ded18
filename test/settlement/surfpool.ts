// surfpool: a Solana chain in this process that is not ours (solana-core behind it). Its package exists for one platform, has 42 MB
// and is no dependency; what needs it is skipped where it is missing.
import { createRequire } from 'node:module'

const NAME = '@solana/surfpool-linux-x64-gnu'

export interface Surfnet {
  readonly rpcUrl: string
  readonly wsUrl: string
  stop(): void
}

function load(): { start(): Surfnet } | undefined {
  try {
    return (createRequire(import.meta.url)(NAME) as { Surfnet: { start(): Surfnet } }).Surfnet
  } catch {
    return undefined
  }
}
const surfpool = load()

export const surfpoolMissing = surfpool
  ? undefined
  : `skipped: ${NAME} is not installed (npm install --no-save ${NAME}@1.5.0)`

export function startSurfpool(): Surfnet {
  if (!surfpool) throw new Error(surfpoolMissing)
  return surfpool.start()
}
