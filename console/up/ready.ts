// DIR/ready.json: what scripts and tests read once everything answers. It holds secrets, so it is its owner's alone, and
// it appears whole or not at all.
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeSecret } from '../secrets.ts'

export interface Ready {
  readonly console: { readonly url: string; readonly token: string }
  readonly mqtt: { readonly url: string; readonly wsUrl?: string }
  readonly chain: { readonly rpcUrl: string; readonly mint: string; readonly treasury: string }
  readonly requester: { readonly id: string; readonly password: string }
  readonly devices: readonly { readonly id: string; readonly name: string }[]
  readonly models: readonly string[]
}

const fileIn = (data: string): string => join(data, 'ready.json')

export async function writeReady(data: string, ready: Ready): Promise<void> {
  const whole = `${fileIn(data)}.${process.pid}`
  await writeSecret(whole, `${JSON.stringify(ready, null, 2)}\n`, 'w')
  await rename(whole, fileIn(data))
}

/** Nothing answers any more, or not yet: a script that waits for the file must not find the old one. */
export const removeReady = (data: string): Promise<void> => rm(fileIn(data), { force: true })
