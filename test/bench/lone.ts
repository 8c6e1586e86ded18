// What one agent costs by itself: seconds from its start to its first answer, and resident memory with one model loaded.
import { join } from 'node:path'
import { freshFolder, removeFolder } from '../harness/bramble.ts'
import { startLoneBoard } from './board.ts'
import { readProcess } from './processes.ts'
import { median } from './report.ts'

export interface LoneFigures {
  readonly model: string
  /** From starting the process to its first answer; medians of `starts` starts with everything cached, as after a reboot. */
  readonly startS: number
  readonly agentMiB: number
  readonly hostsMiB: number
}

const FRAMES = 200

/** The first start fills the code cache and is not counted. */
export async function measureLone(model: string, frame: Uint8Array, starts: number): Promise<LoneFigures> {
  const data = await freshFolder()
  const seconds: number[] = []
  const memory: { agent: number; hosts: number }[] = []
  try {
    for (let start = 0; start <= starts; start += 1) {
      const from = performance.now()
      const board = await startLoneBoard([model], join(data, 'board'))
      await board.online
      await board.ask(model, frame)
      if (start > 0) seconds.push((performance.now() - from) / 1000)
      for (let sent = 0; sent < FRAMES; sent += 4)
        await Promise.all(Array.from({ length: 4 }, () => board.ask(model, frame)))
      const [agent = 0, ...hosts] = board.pids().map((pid) => readProcess(pid).rssMiB)
      memory.push({ agent, hosts: hosts.reduce((sum, mib) => sum + mib, 0) })
      await board.close()
    }
  } finally {
    await removeFolder(data)
  }
  return {
    model,
    startS: median(seconds),
    agentMiB: median(memory.map(({ agent }) => agent)),
    hostsMiB: median(memory.map(({ hosts }) => hosts)),
  }
}
