// A process that answers tasks through the real buffer, commits and outbox, and kills itself (SIGKILL) when it comes to the
// given step. Steps lie before and after each write and each publish. What it published it has written to its stdout.
import { createPrivateKey } from 'node:crypto'
import { readFileSync, writeSync } from 'node:fs'
import { pino } from 'pino'
import { systemClock } from '../../agent/clock.ts'
import { openBuffer } from '../../agent/outbox/buffer.ts'
import { createCommits } from '../../agent/outbox/commits.ts'
import { createOutbox } from '../../agent/outbox.ts'
import { DEVICE, RUNTIME, task } from './buffer-rig.ts'

const [file = '', keyFile = '', first = '0', tasks = '0', killAt = '0'] = process.argv.slice(2)
const log = pino({ level: 'silent' })
let steps = 0
function step(): void {
  steps += 1
  if (steps === Number(killAt)) process.kill(process.pid, 'SIGKILL')
}

const seqOf = (jws: string): number =>
  JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString('utf8')).seq

const privateKey = createPrivateKey(readFileSync(keyFile))
const buffer = openBuffer({ file, device: DEVICE, privateKey, capBytes: 1 << 30, now: systemClock.now })
const commits = createCommits({
  buffer: {
    ...buffer,
    write(changes) {
      step()
      const written = buffer.write(changes)
      step()
      return written
    },
    sync(done) {
      buffer.sync((error) => {
        step()
        done(error)
      })
    },
  },
  clock: systemClock,
  log,
  delays: {
    gapMs: 1,
    gapPerFrameMs: 0,
    longestGapMs: 2,
    cutMs: 2,
    cutAloneMs: 2,
    settleMs: 2,
    retryMs: 100,
    restMs: 1_000,
  },
  onWritten: () => outbox.wake(),
})
const outbox = createOutbox({
  buffer,
  commits,
  clock: systemClock,
  log,
  async publish(topic, payload) {
    step()
    writeSync(1, `${topic} ${payload}\n`)
    step()
    // The console acknowledges a batch a moment later.
    if (topic === 'receipts') setImmediate(() => outbox.acknowledged(seqOf(payload)))
  },
  topicOf: () => 'out',
  receiptsTopic: 'receipts',
})

const origin = buffer.origin(`boot-${first}`, RUNTIME)
outbox.connected()
for (let n = Number(first); n < Number(first) + Number(tasks); n += 1) {
  commits.add(task(n, origin))
  await new Promise((resolve) => setTimeout(resolve, 3))
}
while (buffer.owed() > 0) await new Promise((resolve) => setTimeout(resolve, 1))
writeSync(1, `done ${steps}\n`)
outbox.close()
commits.close()
buffer.close()
