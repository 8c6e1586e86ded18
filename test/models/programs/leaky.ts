// An inference process with a leak: 8 MiB more for each frame.
import '../../../models/runtime/host-process.ts'

const leaked: Buffer[] = []
process.on('message', (order: { type: string }) => {
  if (order.type === 'run') leaked.push(Buffer.alloc(8 * 2 ** 20, 1))
})
