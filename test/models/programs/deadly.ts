// An inference process with the real lane and a model that only takes time. A frame that begins with `H` kills the process
// while it is being decoded, as a fault in a decoder's native code does.
import { createLane } from '../../../models/runtime/lane.ts'
import type { Order } from '../../../models/runtime/messages.ts'
import type { Model } from '../../../models/runtime/model.ts'
import type { Answer } from '../../../models/runtime/tasks/prepared.ts'

const DECODE_MS = 3
const RUN_MS = 30
const RUNTIME = { ort: 'none', provider: 'none', cpu: 'none', decoder: 'none', flags: [] }

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function answer(): Promise<Answer> {
  await wait(RUN_MS)
  return { prediction: { kind: 'classification', labels: [] }, digest: 'd' }
}

const model: Model = {
  provider: 'cpu',
  outputBytes: 0,
  async prepare({ data }) {
    await wait(DECODE_MS)
    if (data[0] === 'H'.charCodeAt(0)) process.kill(process.pid, 'SIGKILL')
    return { run: () => answer(), release() {} }
  },
  run: answer,
  close: async () => {},
}

const lane = createLane({
  open: async () => model,
  now: () => performance.now(),
  rssMiB: () => 50,
  cpuMs: () => 0,
  runtimeOn: () => RUNTIME,
  reply: (reply) => void process.send?.(reply),
  afterRun: () => {},
})
process.on('message', (order: Order) => lane.accept(order))
process.on('disconnect', () => process.exit(0))
process.send?.({ type: 'ready', runtime: RUNTIME })
