// `bramble rewards verify` on files, of a receipt whose payout the engine made on the local chain from first to last.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Proof, proofOf } from '../../console/rewards/proof.ts'
import { verifyFile } from '../../console/up/rewards-verify.ts'
import { addRequester, enrol, startPool } from '../market/pool.ts'
import { createLab, type Lab } from '../settlement/lab.ts'
import { createWorld, type World } from '../settlement/payout-world.ts'
import { createAnchored } from './anchored.ts'

let lab: Lab
let world: World
let folder: string
let proof: Proof
let early: unknown

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bramble-proof-'))
  lab = await createLab()
  world = await createWorld({ lab, token: await lab.makeToken(), amounts: [] })
  const board = await enrol(world.store, 'owner-a')
  const wallet = { payee: 'owner-a', address: '9C6hybhQ6Aycep9jaUnP6uL9ZYvDjUp1aSkFWPUFJtpj' }
  await world.store.db
    .insertInto('wallets')
    .values({ ...wallet, since: 0, proof: 'operator' })
    .execute()
  await addRequester(world.store, 'req-a', 10_000n)
  const pool = await startPool(world.store, { now: lab.clock.now() })
  await createAnchored(world.store, pool, board).epoch(3)
  lab.clock.advance(pool.clock.now - lab.clock.now())
  const engine = world.engine()
  expect((await engine.settleNow()).planned).toHaveLength(1)
  for (let i = 0; i < 30; i++) {
    lab.clock.advance(1_000)
    await engine.turn()
    if (i === 2) early = await proofOf(world.store.db, 2, world.treasury.address)
  }
  const proven = await proofOf(world.store.db, 2, world.treasury.address)
  if (!('proof' in proven)) throw new Error(proven.message)
  proof = proven.proof
})

afterAll(async () => {
  await world.close()
  lab.close()
  rmSync(folder, { recursive: true })
})

const rpc: typeof fetch = async (_url, init) => new Response(lab.text(String(init?.body)))
const rpcUrl = 'http://rpc.invalid'

const verify = (file: unknown, options: Parameters<typeof verifyFile>[1] = {}) => {
  const path = join(folder, 'proof.json')
  writeFileSync(path, typeof file === 'string' ? file : JSON.stringify(file, null, 2))
  return verifyFile(path, { fetch: rpc, ...options })
}

test('no proof is given before the payout is final', () => {
  expect(early).toMatchObject({ refused: 'not-anchored' })
})

test('the proof of a paid receipt holds, alone and against the chain', async () => {
  expect(await verify(proof)).toMatchObject({ ok: true, text: expect.stringMatching(/not asked: .*--treasury/) })
  const { ok, text } = await verify(proof, { treasury: world.treasury.address, rpcUrl })
  expect(ok).toBe(true)
  expect(text.split('\n')).toEqual([
    expect.stringMatching(/^ok {4} the board signed its batch: dev-/),
    expect.stringMatching(/^ok {4} the batch claims the receipt: task /),
    "ok     the receipt lies under its epoch's root: 85 base units for owner-a, epoch 1",
    'ok     the head over the roots is in the memo: head of epoch 1, batch e2-1',
    `ok     the treasury signed the transaction: ${world.treasury.address}`,
    `ok     it is the treasury that you know: ${world.treasury.address}`,
    expect.stringMatching(/^ok {4} the chain has the transaction finalized: slot \d+$/),
    'The proof of receipt 2 holds.',
  ])
})

test('a forged one does not, nor one of a transaction that the chain does not know', async () => {
  const forged = await verify({ ...proof, receipt: { ...proof.receipt, amount: '8500' } })
  expect(forged.ok).toBe(false)
  expect(forged.text).toMatch(/FAULT {2}the receipt lies under its epoch's root: [\s\S]*The proof does NOT hold\.$/)
  const answer = (value: unknown) => async () => Response.json({ jsonrpc: '2.0', id: 1, result: { value: [value] } })
  for (const [value, fault] of [
    [null, 'does not know it'],
    [{ err: { InstructionError: [0, 'x'] }, confirmationStatus: 'finalized', slot: 1 }, 'it failed'],
    [{ err: null, confirmationStatus: 'confirmed', slot: 1 }, 'it is only confirmed'],
  ] as const) {
    const { ok, text } = await verify(proof, { rpcUrl, fetch: answer(value) })
    expect([ok, text]).toEqual([false, expect.stringContaining(fault)])
  }
})

test('what is no proof, no JSON or no file, and an RPC that does not answer, is said in one sentence', async () => {
  await expect(verify('{')).rejects.toMatchObject({ code: 'unreadable', message: expect.stringMatching(/is not JSON/) })
  await expect(verify({ ...proof, roots: [] })).rejects.toMatchObject({ message: expect.stringMatching(/roots/) })
  await expect(verifyFile(join(folder, 'none'), {})).rejects.toMatchObject({ code: 'unreadable' })
  const dead: typeof fetch = () => Promise.reject(new TypeError('fetch failed'))
  await expect(verify(proof, { rpcUrl, fetch: dead })).rejects.toMatchObject({ code: 'unreachable' })
})
