// The outbox over a real buffer file, in a time of its own, with a broker that is on, off or silent.
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { Buffer as Outbox } from '../../agent/outbox/buffer.ts'
import { createCommits } from '../../agent/outbox/commits.ts'
import { createOutbox } from '../../agent/outbox.ts'
import { createRig, idOf, RUNTIME, syncAtOnce, task } from './buffer-rig.ts'
import { createFakeClock } from './fake-clock.ts'

export function startOutbox(
  options: {
    console?: boolean
    write?: (real: Outbox['write']) => Outbox['write']
    sync?: (real: Outbox['sync']) => Outbox['sync']
    inHouse?: () => number
    rig?: ReturnType<typeof createRig>
  } = {},
) {
  const { clock, advance, set } = createFakeClock()
  const { rig = createRig() } = options
  onTestFinished(rig.remove)
  // With a disk of its own kind it is seen there whether anything is shown too early.
  const buffer = rig.open(options.sync && { syncFile: syncAtOnce })
  const origin = buffer.origin('boot', RUNTIME)
  const said: string[] = []
  const texts: string[] = []
  const logged: string[] = []
  const log = pino({}, { write: (line) => logged.push(line) })
  /** What the broker says to a publish that it does not take. */
  let refuses: ((payload: string) => Error | undefined) | undefined
  const pending: { resolve: () => void; reject: (error: Error) => void }[] = []
  let broker: 'on' | 'off' | 'silent' = 'on'
  const publish = (topic: string, payload: string): Promise<void> => {
    if (broker === 'off') return Promise.reject(new Error('not connected'))
    const refusal = refuses?.(payload)
    if (refusal) return Promise.reject(refusal)
    texts.push(payload)
    said.push(topic === 'receipts' ? `#${rig.verify(payload).seq}` : idOf({ payload }))
    return broker === 'on' ? Promise.resolve() : new Promise((resolve, reject) => pending.push({ resolve, reject }))
  }
  const commits = createCommits({
    buffer: {
      ...buffer,
      write: options.write?.(buffer.write) ?? buffer.write,
      sync: options.sync?.(buffer.sync) ?? buffer.sync,
    },
    clock,
    log,
    ...(options.inHouse && { inHouse: options.inHouse }),
    onWritten: () => outbox.wake(),
  })
  const outbox = createOutbox({
    buffer,
    commits,
    clock,
    log,
    publish,
    topicOf: () => 'out',
    ...(options.console !== false && { receiptsTopic: 'receipts' }),
  })
  return {
    file: rig.file,
    buffer,
    commits,
    outbox,
    advance,
    set,
    pending,
    add: (n: number) => commits.add(task(n, origin)),
    /** What was published since the last call. */
    said: (): string[] => said.splice(0),
    /** The same, as it was sent. */
    sent: (): string[] => texts.splice(0),
    /** What the log says so far. */
    logged: (): readonly string[] => logged.map((line) => JSON.parse(line).msg),
    refuse(when: typeof refuses): void {
      refuses = when
    },
    broker(next: typeof broker): void {
      broker = next
      if (next === 'off') {
        outbox.disconnected()
        for (const { reject } of pending.splice(0)) reject(new Error('disconnected'))
      } else outbox.connected()
    },
  }
}
