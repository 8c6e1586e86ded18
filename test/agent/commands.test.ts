import { pino } from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CommandError, createCommands, type Handler } from '../../agent/commands/commands.ts'
import { logsHandler } from '../../agent/commands/logs.ts'
import { poisonHandler } from '../../agent/commands/poison.ts'
import { createSuspects } from '../../agent/frames/suspects.ts'
import { ReplyMessage, VitalsMessage } from '../../broker/protocol/messages.ts'
import { formatTopic } from '../../broker/protocol/topics.ts'
import { openBoard, type Said } from './board.ts'
import { createRig } from './buffer-rig.ts'

const EXPIRES = 1_000_000

function openCommands(handlers: Record<string, Handler>) {
  const replies: { name: string; id: string; reply: ReplyMessage }[] = []
  let now = 0
  let online = true
  const commands = createCommands({
    handlers,
    now: () => now,
    log: pino({ level: 'silent' }),
    async reply(name, id, payload) {
      if (!online) throw new Error('not connected')
      replies.push({ name, id, reply: ReplyMessage.parse(JSON.parse(payload)) })
    },
  })
  const send = async (name: string, id: string, message: unknown = { expiresAt: EXPIRES }, retain = false) => {
    const payload = message instanceof Uint8Array ? message : Buffer.from(JSON.stringify(message))
    commands.receive(name, id, payload, retain)
    await new Promise((resolve) => setImmediate(resolve))
    return replies.at(-1)?.reply
  }
  return {
    replies,
    send,
    at: (to: number) => {
      now = to
    },
    connected: (is: boolean) => {
      online = is
    },
  }
}

describe('commands', () => {
  it('are done with their arguments and answered on their own topic', async () => {
    const { send, replies } = openCommands({ echo: async (args) => args })
    await send('echo', 'c1', { expiresAt: EXPIRES, args: { a: 1 } })
    expect(replies).toEqual([{ name: 'echo', id: 'c1', reply: { ok: true, result: { a: 1 } } }])
  })

  it('are done once however often they come, and answered each time', async () => {
    let runs = 0
    const { send, replies } = openCommands({ count: async () => ++runs })
    await send('count', 'c1')
    await send('count', 'c1')
    await send('count', 'c2')
    expect(replies.map(({ reply }) => reply)).toEqual([1, 1, 2].map((result) => ({ ok: true, result })))
  })

  it('that come twice while they are being done are done once', async () => {
    const gate = Promise.withResolvers<void>()
    let runs = 0
    const { send, replies } = openCommands({
      slow: async () => {
        runs += 1
        await gate.promise
      },
    })
    await Promise.all([send('slow', 'c1'), send('slow', 'c1')])
    gate.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    expect({ runs, replies: replies.length }).toEqual({ runs: 1, replies: 2 })
  })

  it('that have expired are not done, and are told both clocks', async () => {
    let runs = 0
    const { send, at } = openCommands({ count: async () => ++runs })
    at(EXPIRES)
    expect(await send('count', 'c1')).toEqual({
      ok: false,
      error: {
        code: 'expired',
        message:
          "it was to be done before 1970-01-01T00:16:40.000Z, and this board's clock says 1970-01-01T00:16:40.000Z",
      },
    })
    expect(runs).toBe(0)
  })

  it('whose answer was lost are answered when they come again, even after they expired', async () => {
    let runs = 0
    const { send, at, connected } = openCommands({ count: async () => ++runs })
    connected(false)
    await send('count', 'c1')
    connected(true)
    at(EXPIRES + 1)
    expect(await send('count', 'c1')).toEqual({ ok: true, result: 1 })
    expect(runs).toBe(1)
  })

  it('that are unknown or no commands are answered, whatever they are called', async () => {
    const { send } = openCommands({ known: async () => undefined })
    for (const name of ['reboot', 'constructor', '__proto__'])
      expect(await send(name, 'c1')).toMatchObject({ ok: false, error: { code: 'unknown-command' } })
    for (const [id, payload] of [
      ['p1', Buffer.from('{')],
      ['p2', Buffer.alloc(0)],
      ['p3', Buffer.from('{"expiresAt":"soon"}')],
      ['p4', Buffer.alloc(20_000, 0x20)],
    ] as const)
      expect(await send('known', id, payload)).toMatchObject({ ok: false, error: { code: 'bad-arguments' } })
  })

  it('that fail say why', async () => {
    const { send } = openCommands({
      picky: () => Promise.reject(new CommandError('bad-arguments', 'a: missing')),
      broken: () => Promise.reject(new TypeError('oh')),
    })
    expect(await send('picky', 'c1')).toEqual({ ok: false, error: { code: 'bad-arguments', message: 'a: missing' } })
    expect(await send('broken', 'c1')).toEqual({ ok: false, error: { code: 'failed', message: 'oh' } })
  })

  it('that a broker retained are not done', async () => {
    const { send, replies } = openCommands({ count: async () => 1 })
    await send('count', 'c1', { expiresAt: EXPIRES }, true)
    expect(replies).toEqual([])
  })

  it('keep a bounded memory: what was answered long ago is not done again all the same', async () => {
    let runs = 0
    const { send } = openCommands({
      big: async () => {
        runs += 1
        return 'x'.repeat(100_000)
      },
    })
    for (let i = 0; i < 10; i += 1) await send('big', `c${i}`)
    expect(await send('big', 'c9')).toMatchObject({ ok: true })
    expect(await send('big', 'c0')).toMatchObject({ ok: false, error: { code: 'failed' } })
    expect(runs).toBe(10)
  })
})

describe('the command logs', () => {
  const line = (n: number, level = 30, more = {}) =>
    JSON.stringify({ level, time: new Date(n * 1000).toISOString(), msg: `line ${n}`, ...more })
  const ask = async (lines: readonly string[], args = {}) =>
    (await logsHandler(() => lines)(args)) as { lines: { msg: string }[]; leftOut: number }

  it('gives the last lines, oldest first, of a level and since a moment', async () => {
    const lines = [line(1), line(2, 40), line(3, 50), line(4)]
    expect((await ask(lines)).lines.map(({ msg }) => msg)).toEqual(['line 1', 'line 2', 'line 3', 'line 4'])
    expect((await ask(lines, { level: 'warn' })).lines.map(({ msg }) => msg)).toEqual(['line 2', 'line 3'])
    const since = new Date(3_000).toISOString()
    expect((await ask(lines, { since })).lines.map(({ msg }) => msg)).toEqual(['line 3', 'line 4'])
    expect(await ask(lines, { lines: 1 })).toMatchObject({ lines: [{ msg: 'line 4' }], leftOut: 3 })
  })

  it('keeps the newest when they do not fit into 100 KiB, and says how many are missing', async () => {
    const lines = Array.from({ length: 500 }, (_, i) => line(i, 30, { detail: 'ä'.repeat(500) }))
    const reply = await ask(lines)
    expect(Buffer.byteLength(JSON.stringify(reply))).toBeLessThan(101 * 1024)
    expect(reply.lines.length).toBeGreaterThan(80)
    expect(reply.lines.length + reply.leftOut).toBe(500)
    expect(reply.lines.at(-1)!.msg).toBe('line 499')
  })

  it('gives all of them, page by page, also those of one millisecond', async () => {
    const lines = Array.from({ length: 500 }, (_, i) => line(Math.floor(i / 7), 30, { i, detail: 'ä'.repeat(500) }))
    let page: { lines: readonly { i: number; time: string }[]; leftOut: number } = { lines: [], leftOut: 500 }
    const seen: number[] = []
    let pages = 0
    for (; page.leftOut > 0; pages += 1) {
      const before = page.lines[0]?.time
      page = (await ask(lines, before === undefined ? {} : { before })) as unknown as typeof page
      seen.unshift(...page.lines.map(({ i }) => i))
    }
    expect(seen).toEqual(lines.map((_, i) => i))
    expect(pages).toBeGreaterThan(3)
  })

  it('refuses arguments that it does not know', async () => {
    await expect(ask([], { level: 'loud' })).rejects.toMatchObject({ code: 'bad-arguments' })
    await expect(ask([], { lines: 501 })).rejects.toMatchObject({ code: 'bad-arguments' })
    await expect(ask([], { follow: true })).rejects.toMatchObject({ code: 'bad-arguments' })
  })
})

describe('a real board', () => {
  it('answers logs and vitals, and its log holds no secret', async () => {
    const board = await openBoard(['--log-level', 'trace', '--serve', 'mobilenet-v1'])
    onTestFinished(() => board.close())
    await board.serving()
    const ask = (name: string, id: string) => {
      const command = formatTopic({ kind: 'command', device: board.device, name, id })
      void board.console.publish(command, JSON.stringify({ expiresAt: Date.now() + 60_000 }), { qos: 1 })
      return board.ear.find(({ topic, payload }: Said) =>
        topic.kind === 'reply' && topic.name === name && topic.id === id
          ? ReplyMessage.parse(JSON.parse(payload.toString()))
          : undefined,
      )
    }
    const logs = await ask('logs', 'l1')
    expect(logs).toMatchObject({ ok: true, result: { leftOut: 0 } })
    expect(JSON.stringify(logs)).toContain('"serving"')
    expect(await ask('reboot', 'r1')).toMatchObject({ ok: false, error: { code: 'unknown-command' } })
    const vitals = await ask('vitals', 'v1')
    expect(vitals.ok && VitalsMessage.safeParse(vitals.result).success).toBe(true)
    expect(board.agent().lines.join('\n')).not.toContain('the credential')
  }, 20_000)
})

describe('the command `poison`', () => {
  it('lists the inputs that are refused, and lets one or all be run again', async () => {
    const rig = createRig()
    onTestFinished(() => rig.remove())
    const table = rig.open().poison
    const told: number[] = []
    const suspects = createSuspects({
      table,
      now: () => 1_000,
      log: pino({ level: 'silent' }),
      told: (rows) => told.push(rows.length),
    })
    const job = (n: number) => ({ pkg: { sha256: 'a'.repeat(64) }, frame: { data: new Uint8Array([n]) } })
    for (const n of [1, 2, 3, 3, 2]) suspects.struck(job(n), `died over ${n}`, true)
    const ask = poisonHandler(suspects)
    const reason = (list: unknown) => (list as { inputs: { reason: string; input: string }[] }).inputs
    expect(reason(await ask({})).map(({ reason }) => reason)).toEqual(['died over 2', 'died over 3'])
    const [{ input } = { input: '' }] = reason(await ask({}))
    expect(await ask({ forget: input })).toMatchObject({ forgotten: 1, inputs: [{ reason: 'died over 3' }] })
    expect(suspects.poisonedBy(job(2))).toBeUndefined()
    expect(await ask({ forget: 'all' })).toEqual({ forgotten: 1, inputs: [], leftOut: 0 })
    expect(table.all(), 'one that is only suspected stays so').toMatchObject([{ reason: 'died over 1' }])
    expect(told).toEqual([0, 1, 2, 1, 0])
    await expect(ask({ forget: 'x' })).rejects.toMatchObject({ code: 'bad-arguments' })
  })
})
