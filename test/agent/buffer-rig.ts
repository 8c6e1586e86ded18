// A buffer in a folder of its own, and answers to put into it.
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BufferOptions, type Buffer as Outbox, openBuffer } from '../../agent/outbox/buffer.ts'
import type { Answer } from '../../agent/outbox/buffer-write.ts'
import type { SyncFile } from '../../agent/outbox/log-file.ts'
import { type ReceiptBatch, verifyBatch } from '../../broker/protocol/receipts.ts'

export const RUNTIME = { ort: '1.30.0', provider: 'cpu', cpu: 'x64-vnni', decoder: 'jpeg-turbo-3.0.1', flags: [] }
export const DEVICE = 'dev-aaaaaaaaaaaaaaaa'
const hex = (n: number): string => n.toString(16).padStart(64, '0')

/** For those whose time is not this machine's. */
export const syncAtOnce: SyncFile = (_, done) => done(null)

/** For those that look at what they have just written. */
const syncedAtOnce = (buffer: Outbox): Outbox => ({
  ...buffer,
  write(changes) {
    const written = buffer.write(changes)
    buffer.sync(() => undefined)
    return written
  },
})

export function createRig() {
  const folder = mkdtempSync(join(tmpdir(), 'buffer-'))
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const file = join(folder, 'buffer.db')
  let clock = Date.UTC(2026, 10, 22)
  let open: Outbox | undefined
  return {
    folder,
    file,
    privateKey,
    publicKey,
    /** What is written is on disk at once, unless `syncFile` says when. */
    open(options: Partial<Pick<BufferOptions, 'capBytes' | 'device' | 'onDamage' | 'syncFile'>> = {}): Outbox {
      open?.close()
      const to = { file, device: DEVICE, privateKey, capBytes: 1 << 30, now: () => clock, syncFile: syncAtOnce }
      open = openBuffer({ ...to, ...options })
      return options.syncFile ? open : syncedAtOnce(open)
    },
    later(ms: number): void {
      clock += ms
    },
    verify(jws: string): ReceiptBatch {
      const verified = verifyBatch(jws, DEVICE, publicKey)
      if (!verified.ok) throw new Error(verified.reason)
      return verified.batch
    },
    remove(): void {
      open?.close()
      open = undefined
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export const task = (n: number, origin: number, bytes = 0): Answer => ({
  kind: 'task',
  model: 'm',
  task: `t${n}`,
  payload: JSON.stringify({ id: `t${n}`, pad: 'x'.repeat(bytes) }),
  remember: true,
  receipt: { item: { task: `t${n}`, model: hex(1), input: hex(n), output: hex(n), at: 1_000 + n, ms: 5 }, origin },
})

export const refusal = (n: number, remember = true, bytes = 0): Answer => ({
  kind: 'refusal',
  model: 'm',
  task: `r${n}`,
  payload: JSON.stringify({ id: `r${n}`, pad: 'x'.repeat(bytes) }),
  remember,
})

export const sample = (n: number, bytes = 0): Answer => ({
  kind: 'sample',
  model: 'm',
  payload: JSON.stringify({ id: `s${n}`, pad: 'x'.repeat(bytes) }),
  remember: false,
})

export const idOf = (row: { payload: string }): string => JSON.parse(row.payload).id
