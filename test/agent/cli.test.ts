// The command line as a person or a supervisor meets it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ResultMessage } from '../../broker/protocol/messages.ts'
import { formatTopic } from '../../broker/protocol/topics.ts'
import { isOnline, killed, openEar, openTestBroker, runAgent } from './board.ts'

const CHELSEA = fileURLToPath(new URL('../fixtures/frames/chelsea-640.jpg', import.meta.url))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cli-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function outcomeOf(...args: string[]) {
  const agent = runAgent([...args, '--data', join(folder, 'data')])
  const code = await agent.exited
  return { code, said: agent.errors(), lines: agent.lines }
}

describe('the command line', () => {
  test('says what to do on a board that is not enrolled', async () => {
    const { code, said } = await outcomeOf('run')
    expect(code).toBe(2)
    expect(said).toMatch(/not enrolled.*bramble-agent enroll/)
    expect(said).not.toMatch(/\n\s+at /)
  })

  test('names every wrong setting at once', async () => {
    const { code, said } = await outcomeOf('run', '--threads', '0', '--device', 'a.b', '--mqtt-url', 'http://x')
    expect(code).toBe(2)
    expect(said.trim().split('\n')).toHaveLength(3)
  })

  test('refuses an option that there is not', async () => {
    const { code, said } = await outcomeOf('run', '--mqqt-url', 'mqtt://x')
    expect(code).toBe(2)
    expect(said).toContain('--mqqt-url: there is no such option')
  })

  test('says when the data folder cannot be written', async () => {
    writeFileSync(join(folder, 'data'), 'a file in its place')
    const { code, said } = await outcomeOf('run')
    expect(code).toBe(2)
    expect(said).toMatch(/cannot be written/)
  })

  test('says when the console cannot be reached', async () => {
    const { code, said } = await outcomeOf(
      'enroll',
      '--console',
      'http://127.0.0.1:1',
      '--token',
      'a-token-of-some-length',
    )
    expect(code).toBe(75)
    expect(said).toMatch(/cannot be reached \(ECONNREFUSED\)/)
  })

  test('names the models when it is to serve one that there is not', async () => {
    const { code, said } = await outcomeOf(
      'run',
      '--device',
      'cam1',
      '--mqtt-url',
      'mqtt://127.0.0.1:1',
      '--serve',
      'nope',
    )
    expect(code).toBe(2)
    expect(said).toMatch(/no model nope.*mobilenet-v1/)
  })
})

describe('infer', () => {
  test('prints an answer that a person can read', async () => {
    const { code, lines } = await outcomeOf('infer', CHELSEA, '--model', 'mobilenet-v1')
    expect(code).toBe(0)
    expect(lines[0]).toMatch(/chelsea-640\.jpg → mobilenet-v1@/)
    expect(lines[1]).toMatch(/^\s+\d+\.\d %\s+\w*\s*(cat|tabby)/i)
    expect(lines.at(-1)).toMatch(/decode .* ms · infer .* ms/)
  })

  test('prints one JSON object for a script', async () => {
    const { code, lines } = await outcomeOf('infer', CHELSEA, '--model', 'ssd-mobilenet-v1', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(lines.join(''))).toMatchObject({ result: { kind: 'detection', objects: [{ label: 'cat' }] } })
  })

  test('lists the models when the one asked for is not there, and says what is wrong with a file', async () => {
    const unknown = await outcomeOf('infer', CHELSEA, '--model', 'nope')
    expect(unknown).toMatchObject({ code: 2, said: expect.stringMatching(/no model nope[\s\S]*mobilenet-v1@/) })
    const text = await outcomeOf('infer', fileURLToPath(import.meta.url), '--model', 'mobilenet-v1')
    expect(text).toMatchObject({ code: 2, said: expect.stringContaining('bad-frame') })
    const missing = await outcomeOf('infer', join(folder, 'none.jpg'), '--model', 'mobilenet-v1')
    expect(missing).toMatchObject({ code: 2, said: expect.stringContaining('cannot be read') })
  })
})

describe('without a console', () => {
  test('a board answers on any broker, keeps nothing once the broker has it, and makes no receipts', async () => {
    const broker = await openTestBroker()
    const { ear, console } = await openEar(broker.url)
    const password = join(folder, 'password')
    writeFileSync(password, 'the credential\n')
    const data = join(folder, 'data')
    const login = ['--username', 'cam1', '--password-file', password]
    const agent = runAgent([
      'run',
      '--data',
      data,
      '--device',
      'cam1',
      '--mqtt-url',
      broker.url,
      ...login,
      '--serve',
      'mobilenet-v1',
    ])
    try {
      await Promise.all([agent.logged('"serving"'), ear.find(isOnline)])
      const topic = formatTopic({ kind: 'device-in', device: 'cam1', model: 'mobilenet-v1', task: 'plain-1' })
      await console.publish(topic, readFileSync(CHELSEA), { qos: 1 })
      const answer = await ear.find((said) =>
        said.topic.kind === 'device-out' ? ResultMessage.parse(JSON.parse(said.payload.toString())) : undefined,
      )
      expect(answer).toMatchObject({ id: 'plain-1', device: 'cam1', result: { kind: 'classification' } })
      agent.child.kill('SIGTERM')
      expect(await agent.exited).toBe(0)
      expect(ear.heard.some((said) => said.topic.kind === 'receipts')).toBe(false)
      const db = new Database(join(data, 'buffer.db'))
      expect(db.prepare('SELECT count(*) FROM results WHERE settled_at IS NULL').pluck().get()).toBe(0)
      db.close()
    } finally {
      await killed(agent.child)
      await console.close()
      await broker.close()
    }
  })
})
