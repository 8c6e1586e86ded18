// A broker that cannot be reached may have moved: its machine got another address, or another machine has its work. The console says
// with each credential where the broker is, so it is asked for one.
import type { Renewal } from './renewal.ts'

interface Options extends Pick<Renewal, 'doubt'> {
  readonly isConnected: () => boolean
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
}

const LOOK_MS = 10 * 60_000

export async function askWhileCutOff({ doubt, isConnected, sleep }: Options, signal: AbortSignal): Promise<void> {
  for (let wasCut = false; !signal.aborted; ) {
    await sleep(LOOK_MS, signal)
    const isCut = !isConnected()
    if (isCut && wasCut) doubt()
    wasCut = isCut
  }
}
