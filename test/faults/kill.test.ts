// kill -9 of each process in mid-stream, and what must hold after: every accepted task answered once, every receipt
// credited once, the books clean.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LedgerCheck, Rewards } from '../../console/routes/shapes.ts'
import { childrenOf } from '../bench/processes.ts'
import { type Bramble, removeFolder, samePorts, startBramble } from '../harness/bramble.ts'
import { type Pipeline, startPipeline } from '../harness/pipeline.ts'

const MODEL = 'mobilenet-v1'
const TASKS = 60
const FLAGS = ['--no-demo', '--agents', '2', '--hold-s', '1', '--settle-every-s', '86400']

let bramble: Bramble
let pipeline: Pipeline
let sent = 0

/** Tasks, of which some are answered and most are under way. */
async function traffic(): Promise<void> {
  const before = sent
  for (; sent < before + TASKS; sent += 1) pipeline.send(`task-${sent}`, MODEL)
  await pipeline.answered(before + TASKS / 6)
}

const agents = () => childrenOf(bramble.child.pid ?? 0).filter(({ command }) => command.includes('agent/main.ts'))

/** Everything the owners were credited, wherever it stands now. */
const credited = ({ owners }: Rewards): bigint =>
  owners.reduce((sum, o) => sum + BigInt(o.pending) + BigInt(o.payable) + BigInt(o.inPayout) + BigInt(o.paid), 0n)

async function expectAllAnsweredAndPaidOnce(): Promise<void> {
  await pipeline.answered(sent)
  for (const [task, answers] of pipeline.answers) {
    // Told again after a restart is fine; told differently is a second run.
    for (const answer of answers) expect(answer, task).toEqual(answers[0])
    expect(answers[0], task).toHaveProperty('result.kind', 'classification')
  }
  const models = await bramble.api<{ models: { id: string; price: string }[] } | { id: string; price: string }[]>(
    '/api/models',
  )
  const price = BigInt((Array.isArray(models) ? models : models.models).find(({ id }) => id === MODEL)?.price ?? 0)
  const expected = (price - (price * 500n) / 10_000n - (price * 500n) / 10_000n) * BigInt(sent)
  await expect
    .poll(async () => credited(await bramble.api<Rewards>('/api/rewards')), { timeout: 60_000, interval: 200 })
    .toBe(expected)
  const { requesters } = await bramble.api<Rewards>('/api/rewards')
  expect(requesters[0]?.reserved).toBe('0')
  const check = await bramble.api<LedgerCheck>('/api/ledger/check')
  expect(check.checks.filter(({ ok }) => !ok)).toEqual([])
}

beforeAll(async () => {
  bramble = await startBramble({ flags: FLAGS })
  pipeline = await startPipeline(bramble.ready)
})
afterAll(async () => {
  await pipeline.close()
  await bramble.stop()
  await removeFolder(bramble.data)
})

describe('kill -9 in mid-stream', { timeout: 120_000 }, () => {
  it('of an agent loses no task and pays each once', async () => {
    await traffic()
    process.kill(agents()[0]?.pid ?? 0, 'SIGKILL')
    await expectAllAnsweredAndPaidOnce()
  })

  it('of an inference host loses no task and pays each once', async () => {
    await traffic()
    for (const agent of agents()) process.kill(childrenOf(agent.pid)[0]?.pid ?? 0, 'SIGKILL')
    await expectAllAnsweredAndPaidOnce()
  })

  it('of the console loses no task and pays each once', async () => {
    await traffic()
    const { ready, data } = bramble
    await bramble.kill()
    bramble = await startBramble({ data, ports: samePorts(ready), flags: FLAGS })
    await expectAllAnsweredAndPaidOnce()
  })
})
