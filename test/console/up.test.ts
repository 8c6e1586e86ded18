import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ResultMessage } from '../../broker/protocol/messages.ts'
import type { Device, LedgerCheck, PayoutView, Rewards, TaskView } from '../../console/routes/shapes.ts'
import type { Ready } from '../../console/up/ready.ts'
import { PACKAGE_ROOT, until } from './running-console.ts'

interface Up {
  readonly child: ChildProcess
  readonly ready: Ready
  readonly output: () => string
}

async function startUp(data: string, ...args: readonly string[]): Promise<Up> {
  const ports = ['--http', '0', '--mqtt', '0', '--chain', '0', '--hold-s', '0']
  const main = join(PACKAGE_ROOT, 'console/bramble.js')
  const child = spawn(process.execPath, [main, 'up', '--data', data, ...ports, ...args])
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8')
    })
  const file = join(data, 'ready.json')
  await until(() => {
    if (child.exitCode !== null) throw new Error(`up ended: ${output}`)
    return existsSync(file) || undefined
  }, 'ready.json')
  return { child, ready: JSON.parse(await readFile(file, 'utf8')) as Ready, output: () => output }
}

async function stopUp({ child }: Up): Promise<{ code: number | null; ms: number }> {
  const from = Date.now()
  child.kill('SIGTERM')
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  return { code, ms: Date.now() - from }
}

describe('bramble up', () => {
  let data: string
  let running: Up
  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'bramble-up-'))
    running = await startUp(data, '--agents', '1')
  })
  afterAll(async () => {
    running.child.kill('SIGKILL')
    await rm(data, { recursive: true })
  })

  const call = (path: string, init: RequestInit = {}): Promise<Response> => {
    const { url, token } = running.ready.console
    return fetch(new URL(path, url), { ...init, headers: { authorization: `Bearer ${token}` } })
  }
  const read = async <T>(path: string): Promise<T> => (await call(path)).json() as Promise<T>

  it('says in ready.json, readable by its owner alone, where everything is', async () => {
    expect((await stat(join(data, 'ready.json'))).mode & 0o777).toBe(0o600)
    const { ready } = running
    expect(ready).toMatchObject({
      console: { url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/), token: expect.stringMatching(/^.{43}$/) },
      mqtt: { url: expect.stringMatching(/^mqtt:\/\/127\.0\.0\.1:\d+$/) },
      chain: { rpcUrl: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) },
      requester: { id: 'demo', password: expect.stringMatching(/^brk_/) },
      devices: [{ id: expect.stringMatching(/^dev-/), name: expect.stringMatching(/^\w+-\w+-\w+$/) }],
    })
    expect(ready.models).toContain('ssd-mobilenet-v1')
    const health = (await (await fetch(new URL('/healthz', ready.console.url))).json()) as { status: string }
    expect(health.status).toBe('ok')
    await until(() => running.output().includes('Bramble is running') || undefined, 'the block')
    expect(running.output()).toContain(`${ready.console.url}/#token=${ready.console.token}`)
  })

  it('finds the cat in a photograph that is posted to it', async () => {
    const photo = await readFile(join(PACKAGE_ROOT, 'models/ssd-mobilenet-v1/golden/chelsea.jpg'))
    const body = new Uint8Array(photo)
    const response = await call('/api/tasks?model=ssd-mobilenet-v1&wait=1', { method: 'POST', body })
    expect(response.status).toBe(200)
    const answer = (await response.json()) as ResultMessage
    expect(answer).toMatchObject({ model: 'ssd-mobilenet-v1@1.0.0', result: { kind: 'detection' } })
    expect(JSON.stringify(answer)).toContain('"label":"cat"')
  })

  it('has a demo pipeline whose photographs are answered', async () => {
    const answered = await until(async () => {
      const tasks = await read<TaskView[]>('/api/tasks?state=done')
      const ofDemo = tasks.filter(({ requestId }) => requestId.startsWith('demo-'))
      return new Set(ofDemo.map(({ model }) => model)).size === 2 ? ofDemo : undefined
    }, 'answers for both models')
    expect(answered.every(({ answer }) => answer && 'result' in answer)).toBe(true)
  })

  it("pays the owner's wallet: finalized on the chain, and the ledger is clean", async () => {
    const [payout] = await until(async () => {
      const settled = (await (await call('/api/payouts', { method: 'POST' })).json()) as { payouts: PayoutView[] }
      return settled.payouts.length > 0 ? settled.payouts : undefined
    }, 'a payout')
    expect(payout?.owner.id).toBe('demo')
    const finalized = await until(async () => {
      const { payout: view } = await read<{ payout: PayoutView }>(
        `/api/payouts/${encodeURIComponent(payout?.id ?? '')}`,
      )
      return view.state === 'finalized' ? view : undefined
    }, 'the payout to be finalized')
    const detail = await read<{ transaction: { signature: string; error?: string } }>(
      `/api/payouts/${encodeURIComponent(finalized.id)}`,
    )
    expect(detail.transaction.signature).toBe(finalized.signature)
    expect(detail.transaction).not.toHaveProperty('error')
    const rewards = await until(async () => {
      const view = await read<Rewards>('/api/rewards')
      return BigInt(view.owners[0]?.walletBalance ?? '0') >= BigInt(finalized.amount) ? view : undefined
    }, 'the tokens in the wallet')
    expect(BigInt(rewards.owners[0]?.paid ?? '0')).toBeGreaterThanOrEqual(BigInt(finalized.amount))
    const check = await read<LedgerCheck>('/api/ledger/check')
    expect(check.checks.filter(({ ok }) => !ok)).toEqual([])
  })

  it('stops within five seconds with exit code 0, and goes on where it stopped', async () => {
    const before = await read<Rewards>('/api/rewards')
    const boards = await read<Device[]>('/api/devices')
    const { code, ms } = await stopUp(running)
    expect(code).toBe(0)
    expect(ms).toBeLessThan(5000)
    expect(existsSync(join(data, 'ready.json'))).toBe(false)
    expect(existsSync(join(data, 'lock'))).toBe(false)

    const { ready } = running
    running = await startUp(data, '--agents', '1', '--no-demo')
    expect(running.ready.chain.mint).toBe(ready.chain.mint)
    expect(running.ready.console.token).toBe(ready.console.token)
    expect(running.ready.requester).toEqual(ready.requester)
    expect(running.ready.devices).toEqual(boards.map(({ id, name }) => ({ id, name })))
    const after = await read<Rewards>('/api/rewards')
    expect(BigInt(after.owners[0]?.walletBalance ?? '0')).toBeGreaterThanOrEqual(
      BigInt(before.owners[0]?.walletBalance ?? '0'),
    )
    expect(BigInt(after.owners[0]?.paid ?? '0')).toBeGreaterThan(0n)
    expect((await read<LedgerCheck>('/api/ledger/check')).ok).toBe(true)
    expect((await stopUp(running)).code).toBe(0)
  })
})
