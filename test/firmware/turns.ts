// What only one check may do at a time, where two run side by side; and which of them goes first.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Named turns: one for each thing that is built; `containers`, of which systemd-nspawn would put two into one control group;
 * `emulator`, for QEMU's boards, which reset themselves when they are kept waiting.
 * Waits until no other process has the turn called `name`; answers how to give it up. A process that ends gives it up too: the
 * lock is held by a child that lives as long as this end of its pipe is open.
 */
export async function takeTurn(name: string): Promise<() => Promise<void>> {
  const file = join(tmpdir(), `bramble-turn-${name}`)
  const holder = spawn('flock', [file, 'sh', '-c', 'echo; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(holder, 'exit')
  await Promise.race([
    once(holder.stdout, 'data'),
    ended.then(([code]) => Promise.reject(new Error(`flock ${file} ended with ${code}`))),
  ])
  return async () => {
    holder.stdin.end()
    await ended
  }
}

/** A tenth of the CPU time of the others, where they want it. */
const LAST = 10

/** For a check in which nothing has a watchdog: what runs beside it has one, and is on the longest way. */
export const giveWay = (): void => setPriority(LAST)
