import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ReplyMessage } from '../../broker/protocol/messages.ts'
import { createFleetCommands } from '../../console/fleet/commands.ts'
import type { CommandView } from '../../console/routes/commands.ts'
import { startTestBoard, startTestConsole, type TestBoard, type TestConsole, until } from './running-console.ts'

function openFleet() {
  const sent: { device: string; name: string; id: string; payload: unknown }[] = []
  const online = new Set<string>()
  const state = { now: 1_000_000, ids: 0, broker: true }
  const commands = createFleetCommands({
    async send(device, name, id, payload) {
      if (!state.broker) throw new Error('not connected')
      sent.push({ device, name, id, payload: JSON.parse(payload) })
    },
    isOnline: (device) => online.has(device),
    now: () => state.now,
    newId: () => `c${++state.ids}`,
    log: pino({ level: 'silent' }),
  })
  const order = (name = 'logs', expiresInS = 60): CommandView => {
    const given = commands.order('dev-a', name, { expiresInS })
    if (given === undefined) throw new Error('too many')
    return given
  }
  const later = (seconds: number): Promise<void> => {
    state.now += seconds * 1000
    return commands.turn()
  }
  const stateOf = (id: string) => commands.get('dev-a', id)?.state
  return { commands, sent, online, state, order, later, stateOf }
}
const DONE: ReplyMessage = { ok: true, result: { lines: [] } }

describe('a command to a board', () => {
  it('is sent at once when the board is connected, and done when it answers', async () => {
    const { commands, sent, online, order } = openFleet()
    online.add('dev-a')
    const given = commands.order('dev-a', 'logs', { args: { level: 'warn' }, expiresInS: 60 })!
    expect(given).toMatchObject({ id: 'c1', name: 'logs', state: 'sent' })
    expect(sent).toEqual([
      { device: 'dev-a', name: 'logs', id: 'c1', payload: { expiresAt: 1_060_000, args: { level: 'warn' } } },
    ])
    const waited = commands.waitFor('dev-a', 'c1', 60_000, new AbortController().signal)
    commands.replied('dev-a', 'c1', DONE, 20)
    expect(await waited).toMatchObject({ state: 'done', result: { lines: [] } })
    expect(order().id).toBe('c2')
  })

  it('waits for a board that is away, and is sent when it comes back', async () => {
    const { sent, online, order, later, stateOf } = openFleet()
    expect(order()).toMatchObject({ state: 'queued', reason: expect.stringContaining('when it comes back') })
    await later(30)
    expect({ sent, state: stateOf('c1') }).toEqual({ sent: [], state: 'queued' })
    online.add('dev-a')
    await later(1)
    expect({ sent: sent.length, state: stateOf('c1') }).toEqual({ sent: 1, state: 'sent' })
  })

  it('is sent again under the same id until it is answered: the board does it once', async () => {
    const { commands, sent, online, order, later, state } = openFleet()
    online.add('dev-a')
    state.broker = false
    order('logs', 600)
    state.broker = true
    await later(10)
    await later(5)
    await later(5)
    expect(sent.map(({ id }) => id)).toEqual(['c1', 'c1'])
    commands.replied('dev-a', 'c1', DONE, 20)
    await later(60)
    expect(sent.length).toBe(2)
  })

  it('expires, whether it was sent or not, and a late answer changes nothing', async () => {
    const { commands, online, order, later, stateOf } = openFleet()
    order()
    await later(60)
    expect(commands.get('dev-a', 'c1')).toMatchObject({
      state: 'expired',
      reason: expect.stringContaining('not connected'),
    })
    online.add('dev-a')
    order()
    const waited = commands.waitFor('dev-a', 'c2', 60_000, new AbortController().signal)
    await later(60)
    expect(await waited).toMatchObject({ state: 'expired', reason: expect.stringContaining('did not answer') })
    commands.replied('dev-a', 'c2', DONE, 20)
    expect(stateOf('c2')).toBe('expired')
  })

  it('fails with the words of the board', () => {
    const { commands, online, order } = openFleet()
    online.add('dev-a')
    order('reboot')
    const error = { code: 'unknown-command', message: 'this board knows logs' } as const
    commands.replied('dev-a', 'c1', { ok: false, error }, 20)
    expect(commands.get('dev-a', 'c1')).toMatchObject({
      state: 'failed',
      reason: 'The board says: this board knows logs',
    })
    commands.replied('dev-a', 'nobody asked', DONE, 20)
  })

  it('is one of sixteen at most that are open, and of twenty that are remembered', () => {
    const { commands, online, order } = openFleet()
    online.add('dev-a')
    for (let i = 0; i < 60; i += 1) {
      const { id } = order()
      if (i < 44) commands.replied('dev-a', id, DONE, 20)
    }
    expect(commands.order('dev-a', 'logs', { expiresInS: 60 })).toBeUndefined()
    expect(commands.list('dev-a').length).toBe(36)
    expect(commands.list('dev-a')[0]!.id).toBe('c60')
    expect(commands.get('dev-a', 'c1')).toBeUndefined()
  })

  it('its answer is forgotten when answers take too much memory, the oldest first', () => {
    const { commands, online, order } = openFleet()
    online.add('dev-a')
    for (let i = 1; i <= 3; i += 1) {
      order()
      commands.replied('dev-a', `c${i}`, DONE, 6 * 1024 * 1024)
    }
    expect(['c1', 'c2', 'c3'].map((id) => commands.get('dev-a', id)?.result)).toEqual([
      undefined,
      { lines: [] },
      { lines: [] },
    ])
  })
})

describe('over HTTP and MQTT', () => {
  let here: TestConsole
  let board: TestBoard
  beforeAll(async () => {
    here = await startTestConsole()
    board = await startTestBoard(here)
    await board.say({ kind: 'status', device: board.id }, 'online', true)
    await until(() => here.trades.devices.get(board.id)?.clocks.mqtt?.state === 'online' || undefined, 'the board')
  })
  afterAll(async () => {
    await board.link.close()
    await here.close()
  })

  const post = (name: string, body: unknown, id = board.id, token?: string) =>
    here.call(
      `/api/devices/${id}/commands/${name}`,
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
      token,
    )

  it('an operator asks, the board answers, the request has stayed for it', async () => {
    const heard: string[] = []
    board.link.onMessage((topic) => {
      heard.push(topic)
      void board.link.publish(topic.replace('/cmd/', '/res/'), JSON.stringify(DONE), { qos: 1 })
    })
    const answer = await post('logs', { args: { level: 'warn' } })
    expect(answer.status).toBe(200)
    const command = (await answer.json()) as CommandView
    expect(command).toMatchObject({ device: board.id, name: 'logs', state: 'done', result: { lines: [] } })
    expect(heard).toEqual([`bramble/1/d/${board.id}/cmd/logs/${command.id}`])
    const list = (await (await here.call(`/api/devices/${board.id}/commands`)).json()) as CommandView[]
    expect(list.map(({ id }) => id)).toContain(command.id)
    expect(list[0]).not.toHaveProperty('result')
    const again = await here.call(`/api/devices/${board.id}/commands/logs/${command.id}`)
    expect(await again.json()).toEqual(command)
  })

  it('an answer that does not come is not waited for longer than asked', async () => {
    board.link.onMessage(() => undefined)
    const answer = await post('vitals', { waitS: 0.1 })
    expect(answer.status).toBe(202)
    expect(await answer.json()).toMatchObject({ state: 'sent' })
  })

  it('refuses strangers, unknown boards, bad names and bad arguments', async () => {
    expect((await post('logs', {}, 'dev-nobody')).status).toBe(404)
    expect((await post('lo.gs', {})).status).toBe(400)
    expect((await post('logs', { expiresInS: 0 })).status).toBe(400)
    expect((await post('logs', {}, board.id, '')).status).toBe(401)
    expect((await post('logs', {}, board.id, here.seeded.apiKey)).status).toBe(403)
    expect((await here.call(`/api/devices/${board.id}/commands/logs/none`)).status).toBe(404)
  })
})
