// kill -9 of the chain's process in mid-stream: what was answered is there afterwards, to the last lamport.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Keypair } from '@solana/web3.js'
import { afterAll, beforeAll, expect, it } from 'vitest'

let folder: string
const children = new Set<ChildProcess>()
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bramble-kill-'))
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await rm(folder, { recursive: true })
})

async function start() {
  const script = new URL('chain-child.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, join(folder, 'chain')], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.add(child)
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { rpcUrl, genesisHash } = JSON.parse(line) as { rpcUrl: string; genesisHash: string }
  const call = async (method: string, ...params: unknown[]) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const response = await fetch(rpcUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    return ((await response.json()) as { result: never }).result
  }
  const kill = async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
    children.delete(child)
  }
  return { call, kill, genesisHash }
}

it('loses nothing that was answered, forgets nothing, invents nothing', async () => {
  const wallet = Keypair.generate().publicKey.toBase58()
  const answered: string[] = []
  let genesis: string | undefined
  for (let life = 1; life <= 3; life++) {
    const chain = await start()
    genesis ??= chain.genesisHash
    expect(chain.genesisHash).toBe(genesis)
    // Four at a time, until the process is killed under them.
    const target = answered.length + 23 + life * 5
    const stream = async (): Promise<void> => {
      for (;;) answered.push(await chain.call('requestAirdrop', wallet, 1_000_000))
    }
    const streams = Array.from({ length: 4 }, () => stream().catch(() => undefined))
    await expect.poll(() => answered.length, { interval: 1, timeout: 20_000 }).toBeGreaterThan(target)
    await chain.kill()
    await Promise.all(streams)
  }

  const chain = await start()
  const statuses = (await chain.call('getSignatureStatuses', answered, { searchTransactionHistory: true })) as {
    value: { err: unknown }[]
  }
  for (const status of statuses.value) expect(status).toMatchObject({ err: null })
  const history = (await chain.call('getSignaturesForAddress', wallet, { commitment: 'confirmed' })) as {
    signature: string
  }[]
  const landed = history.map(({ signature }) => signature)
  expect(landed).toEqual(expect.arrayContaining(answered))
  // Written but not answered before the kill: at most what was under way.
  expect(landed.length - answered.length).toBeLessThanOrEqual(4 * 4)
  const { value: lamports } = (await chain.call('getBalance', wallet)) as { value: number }
  expect(lamports).toBe(landed.length * 1_000_000)

  const bytes = (await chain.call('getTransaction', landed[0], { commitment: 'confirmed', encoding: 'base64' })) as {
    transaction: [string, string]
  }
  expect(await chain.call('sendTransaction', bytes.transaction[0], { encoding: 'base64' })).toBe(landed[0])
  expect(((await chain.call('getBalance', wallet)) as { value: number }).value).toBe(lamports)
  await chain.kill()

  // The snapshots only save time: without them, and with a half-written one, the whole journal is run again.
  const chainFolder = join(folder, 'chain')
  for (const file of await readdir(chainFolder)) if (file.endsWith('.svm')) await rm(join(chainFolder, file))
  await writeFile(join(chainFolder, 'state.tmp'), 'half')
  const replayed = await start()
  expect(((await replayed.call('getBalance', wallet)) as { value: number }).value).toBe(lamports)
  await replayed.kill()
}, 60_000)
