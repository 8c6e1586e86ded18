// The agent as it runs on a board: its own process, the real inference host, a real broker.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeFrame } from '../../broker/protocol/envelope.ts'
import type { ResultError } from '../../broker/protocol/messages.ts'
import { type Board, openBoard } from './board.ts'

const chelsea = readFileSync(new URL('../fixtures/frames/chelsea-640.jpg', import.meta.url))
const MODEL = 'mobilenet-v1'
let board: Board

beforeAll(async () => {
  board = await openBoard([
    '--serve',
    `${MODEL},vibration-ae`,
    '--payload-kib',
    '256',
    '--hosts',
    '1',
    '--log-level',
    'debug',
  ])
  await board.serving()
})
afterAll(() => board.close())

const errorOf = async (model: string, task: string): Promise<ResultError | undefined> => {
  const answer = await board.answer(model, task)
  return 'error' in answer ? answer.error : undefined
}

describe('an agent at its console', () => {
  test('says that it is there, what it is and how it is', async () => {
    expect(await board.status('online')).toBe('online')
    const info = await board.info()
    expect(info).toMatchObject({ device: board.device, name: 'calm-green-fox', limits: { payloadBytes: 256 * 1024 } })
    expect(info.models.map(({ id }) => id).sort()).toEqual([MODEL, 'vibration-ae'])
    expect(info.runtime.provider).toBe('cpu')
    const { beat, bytes } = await board.heartbeat(({ idle }) => idle === 'no-work')
    expect(bytes).toBeLessThanOrEqual(400)
    expect(beat.memMiB).toBeGreaterThan(40)
  })

  test('answers a task and delivers a signed receipt for it', async () => {
    await board.send(MODEL, 'task-1', chelsea)
    const answer = await board.answer(MODEL, 'task-1')
    expect(answer).toMatchObject({ id: 'task-1', model: expect.stringMatching(/^mobilenet-v1@/), device: board.device })
    if (!('result' in answer) || answer.result.kind !== 'classification') throw new Error('no classification')
    expect(answer.result.labels[0]?.label).toMatch(/cat|tabby/i)
    const { models } = await board.info()
    await expect
      .poll(() => board.batches().flatMap(({ items }) => items), { timeout: 10_000 })
      .toContainEqual({
        task: 'task-1',
        model: models.find(({ id }) => id === MODEL)?.digest,
        input: createHash('sha256').update(chelsea).digest('hex'),
        output: answer.digest,
        at: expect.any(Number),
        ms: answer.ms.infer,
      })
  })

  test('answers a repeated task from memory and does not run it again', async () => {
    await board.send(MODEL, 'task-2', chelsea)
    const first = await board.answer(MODEL, 'task-2')
    const from = board.ear.heard.length
    await board.send(MODEL, 'task-2', chelsea)
    expect(await board.answer(MODEL, 'task-2', from)).toEqual(first)
    await board.send(MODEL, 'task-3', chelsea)
    await expect
      .poll(() => board.batches().flatMap(({ items }) => items.map(({ task }) => task)), { timeout: 10_000 })
      .toContain('task-3')
    const runs = board.batches().flatMap(({ items }) => items.filter(({ task }) => task === 'task-2'))
    expect(runs).toHaveLength(1)
  })

  test('answers a stream frame under its own id, without a receipt', async () => {
    await board.send(MODEL, undefined, encodeFrame({ id: 'frame-7', contentType: 'image/jpeg', data: chelsea }))
    expect(await board.answer(MODEL)).toMatchObject({ id: 'frame-7', result: { kind: 'classification' } })
    expect(board.batches().flatMap(({ items }) => items.map(({ task }) => task))).not.toContain('frame-7')
  })

  test('serves a second model', async () => {
    await board.send('vibration-ae', 'shape-1', JSON.stringify({ samples: [1, 2, 3] }))
    expect(await errorOf('vibration-ae', 'shape-1')).toMatchObject({ code: 'bad-tensor' })
  })

  test.each([
    ['a truncated JPEG', 'bad-frame', () => chelsea.subarray(0, 2_000)],
    ['an empty payload', 'bad-frame', () => ''],
    ['a text file', 'bad-frame', () => 'hello world'],
    ['too many bytes', 'too-large', () => Buffer.concat([chelsea, Buffer.alloc(300 * 1024)])],
    ['a bad CBOR map', 'bad-envelope', () => Buffer.from([0xa1, 0x61])],
  ] satisfies [string, string, () => string | Uint8Array][])('answers %s with %s', async (what, code, payload) => {
    const task = what.replaceAll(' ', '-')
    await board.send(MODEL, task, payload())
    const error = await errorOf(MODEL, task)
    expect(error).toMatchObject({ code })
    expect(error?.message.length).toBeGreaterThan(10)
  })

  test('answers a model that it does not serve by naming those it serves', async () => {
    await board.send('nonsense', 'unknown-1', chelsea)
    expect(await errorOf('nonsense', 'unknown-1')).toMatchObject({
      code: 'unknown-model',
      message: expect.stringContaining(MODEL),
    })
  })

  test('logs a bad sender once, not each time', async () => {
    for (let n = 0; n < 3; n += 1) await board.send(MODEL, `bad-${n}`, 'text')
    await Promise.all([0, 1, 2].map((n) => errorOf(MODEL, `bad-${n}`)))
    expect(
      board.agent().lines.filter((line) => line.includes('a bad message') && line.includes(`in/${MODEL}`)),
    ).toHaveLength(1)
  })

  test('goes on when its inference process is killed', async () => {
    const tasks = Array.from({ length: 12 }, (_, n) => `crash-${n}`)
    const { pid } = board.agent().child
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
    expect(children).toHaveLength(1)
    await Promise.all(tasks.map((task) => board.send(MODEL, task, chelsea)))
    await board.answer(MODEL, 'crash-0')
    process.kill(children[0] ?? 0, 'SIGKILL')
    const answers = await Promise.all(tasks.map((task) => board.answer(MODEL, task)))
    // The one that was being run is tried once more by the agent itself.
    for (const answer of answers) expect(answer).toHaveProperty('result')
    for (const task of tasks) expect(board.answers(MODEL, task)).toHaveLength(1)
  })

  test('gives every accepted task its one answer and receipt although it is killed in mid-stream', async () => {
    board.acking(false)
    const tasks = Array.from({ length: 20 }, (_, n) => `kill-${n}`)
    await Promise.all(tasks.map((task) => board.send(MODEL, task, chelsea)))
    await board.answer(MODEL, 'kill-3')
    board.agent().child.kill('SIGKILL')
    await board.status('offline')
    board.acking(true)
    await board.restart()
    // What the dispatcher does with tasks of a board that went away: it leases them again, under the same ids.
    await Promise.all(tasks.map((task) => board.send(MODEL, task, chelsea)))
    await Promise.all(tasks.map((task) => board.answer(MODEL, task)))
    const receipts = () => board.batches().flatMap(({ items }) => items.map(({ task }) => task))
    await expect.poll(() => tasks.filter((task) => !receipts().includes(task)), { timeout: 15_000 }).toEqual([])
    for (const task of tasks) {
      const outputs = new Set(board.answers(MODEL, task).map((answer) => ('digest' in answer ? answer.at : 'error')))
      expect(outputs.size, `${task} ran once`).toBe(1)
    }
    const chain = [...new Map(board.batches().map((batch) => [batch.seq, batch])).values()]
    expect(chain.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(chain.map((_, index) => index + 1))
  })

  test('finishes its work and says goodbye when it is stopped', async () => {
    const from = board.ear.heard.length
    const tasks = Array.from({ length: 10 }, (_, n) => `drain-${n}`)
    await Promise.all(tasks.map((task) => board.send(MODEL, task, chelsea)))
    board.agent().child.kill('SIGTERM')
    const startedAt = performance.now()
    expect(await board.agent().exited).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    expect(await board.status('offline', from)).toBe('offline')
    for (const task of tasks) expect(board.answers(MODEL, task), task).toHaveLength(1)
    const stopped = JSON.parse(board.agent().lines.at(-1) ?? '{}')
    expect(stopped).toMatchObject({ msg: 'stopped', in: expect.any(Number) })
    expect(stopped.in).toBe(stopped.answered + stopped.refused + stopped.dropped)
  })
})
