import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from './running-console.ts'

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('a child of up', () => {
  let keeper: ChildProcess
  const pids: number[] = []
  const start = (): void => {
    keeper = spawn(process.execPath, [fileURLToPath(new URL('./keeper.ts', import.meta.url))])
    createInterface({ input: keeper.stdout! }).on('line', (line) => {
      const pid = /pid (\d+)/.exec(line)?.[1]
      if (pid) pids.push(Number(pid))
    })
  }
  afterEach(() => {
    keeper.kill('SIGKILL')
    pids.length = 0
  })

  it('is started again when it dies, and goes when its parent is killed', async () => {
    start()
    const first = await until(() => pids[0], 'the child')
    process.kill(first, 'SIGKILL')
    const second = await until(() => pids[1], 'the next child')
    expect(second).not.toBe(first)
    keeper.kill('SIGKILL')
    await until(() => !isAlive(second) || undefined, 'the child to go')
  })
})
