import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ResultMessage } from '../../broker/protocol/messages.ts'
import type { DeviceDetail, LedgerCheck, Overview, Rewards, TaskView } from '../../console/routes/shapes.ts'
import {
  PACKAGE_ROOT,
  startTestBoard,
  startTestConsole,
  type TestBoard,
  type TestConsole,
  until,
} from './running-console.ts'

const photo = await readFile(join(PACKAGE_ROOT, 'models/ssd-mobilenet-v1/golden/chelsea.jpg'))
const json = async <T>(answer: Promise<Response>): Promise<T> => (await answer).json() as Promise<T>
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; message: string } }).error

describe('the HTTP API', () => {
  let here: TestConsole
  beforeAll(async () => {
    here = await startTestConsole()
  })
  afterAll(() => here.close())

  describe('for anybody', () => {
    it('says that it is alive', async () => {
      expect(await json(here.call('/healthz', {}, ''))).toMatchObject({ status: 'ok', version: '0.0.0-test' })
    })

    it('has numbers for Prometheus', async () => {
      const metrics = await here.call('/metrics', {}, '')
      expect(metrics.headers.get('content-type')).toMatch(/^text\/plain/)
      const text = await metrics.text()
      for (const name of [
        'boards{state="idle"}',
        'tasks{state="queued"}',
        'treasury_coverage',
        'treasury_balance_units 1000000000',
        'liabilities_units 1000000000',
        'broker{name="connections"}',
      ])
        expect(text).toContain(`bramble_${name}`)
    })

    it('documents every address', async () => {
      const { paths } = await json<{ paths: Record<string, Record<string, unknown>> }>(
        here.call('/openapi.json', {}, ''),
      )
      expect(Object.keys(paths).sort()).toEqual([
        '/.well-known/jwks.json',
        '/api/blobs/{digest}',
        '/api/chain/transactions/{signature}',
        '/api/devices',
        '/api/devices/{id}',
        '/api/devices/{id}/commands',
        '/api/devices/{id}/commands/{name}',
        '/api/devices/{id}/commands/{name}/{command}',
        '/api/devices/{id}/desired',
        '/api/devices/{id}/desired/rollback',
        '/api/enrollments',
        '/api/events',
        '/api/fleet/desired',
        '/api/fleet/desired/rollback',
        '/api/ledger/check',
        '/api/models',
        '/api/overview',
        '/api/owners',
        '/api/payouts',
        '/api/payouts/{id}',
        '/api/publishers',
        '/api/publishers/{id}',
        '/api/releases',
        '/api/requesters',
        '/api/requesters/{id}',
        '/api/requesters/{id}/allowance',
        '/api/requesters/{id}/deposit',
        '/api/requesters/{id}/key',
        '/api/requesters/{id}/withdraw',
        '/api/rewards',
        '/api/rewards/epochs/{id}',
        '/api/rewards/lost/{address}',
        '/api/rewards/receipts/{id}/proof',
        '/api/rewards/receipts/{id}/{verdict}',
        '/api/rewards/reconcile',
        '/api/rewards/statements/{payee}',
        '/api/software',
        '/api/software/publishers',
        '/api/software/publishers/{id}',
        '/api/software/releases',
        '/api/software/rollouts',
        '/api/software/rollouts/resume',
        '/api/software/rollouts/rollback',
        '/api/software/rollouts/stop',
        '/api/tasks',
        '/api/tasks/{id}',
        '/api/tasks/{id}/frame',
        '/api/wallets',
        '/api/wallets/challenge',
        '/api/wallets/changes',
        '/api/wallets/changes/{id}',
        '/boards/blobs/{digest}',
        '/boards/desired',
        '/boards/receipts',
        '/boards/receipts/{id}/proof',
        '/boards/releases/{digest}',
        '/enroll',
        '/enroll/challenge',
        '/enroll/renew',
        '/healthz',
        '/metrics',
      ])
    })

    it('shows the public key of its credentials, and only that half', async () => {
      const { keys } = await json<{ keys: Record<string, string>[] }>(here.call('/.well-known/jwks.json', {}, ''))
      expect(keys[0]).toMatchObject({ kty: 'EC', crv: 'P-256', alg: 'ES256' })
      expect(keys[0]).not.toHaveProperty('d')
    })

    it('serves the page under every address of it, with no inline script allowed, and nothing outside of it', async () => {
      const page = await here.call('/devices/dev-x', {}, '')
      expect(page.headers.get('content-type')).toMatch(/^text\/html/)
      expect(page.headers.get('content-security-policy')).toMatch(/default-src 'self'/)
      expect(page.headers.get('content-security-policy')).not.toMatch(/unsafe/)
      expect(page.headers.get('x-content-type-options')).toBe('nosniff')
      expect((await here.call('/assets/nothing.js', {}, '')).status).toBe(404)
      for (const path of ['/..%2f..%2fapp.ts', '/%2e%2e/%2e%2e/app.ts', '/assets/..%2f..%2f..%2fapp.ts', '/%'])
        expect(await (await here.call(path, {}, '')).text()).not.toContain('AppType')
    })
  })

  describe('asks who is calling', () => {
    it.each(['/api/overview', '/api/devices', '/api/tasks', '/api/events', '/api/nothing'])('at %s', async (path) => {
      const none = await here.call(path, {}, '')
      expect(none.status).toBe(401)
      expect((await errorOf(none)).code).toBe('unauthorized')
      expect((await here.call(path, {}, `${here.keys.token}x`)).status).toBe(401)
      expect((await here.call(path, {}, here.keys.token.slice(0, -1))).status).toBe(401)
    })

    it('lets an API key reach tasks and nothing else', async () => {
      const key = here.seeded.apiKey
      expect((await here.call('/api/tasks', {}, key)).status).toBe(200)
      for (const path of [
        'overview',
        'devices',
        'devices/x',
        'devices/x/desired',
        'fleet/desired',
        'models',
        'publishers',
        'releases',
        'rewards',
        'ledger/check',
        'payouts',
        'enrollments',
        'events',
      ])
        expect((await here.call(`/api/${path}`, {}, key)).status).toBe(403)
      expect((await here.call('/api/payouts', { method: 'POST' }, key)).status).toBe(403)
    })
  })

  it('names the field of a bad request', async () => {
    expect((await errorOf(await here.call('/api/tasks?limit=9999'))).message).toMatch(/^limit: /)
    expect(
      (await errorOf(await here.call('/api/tasks?model=m&id=a.b', { method: 'POST', body: 'x' }))).message,
    ).toMatch(/^id: /)
  })

  it('answers an unknown address under /api, an unknown board and an unknown task with 404', async () => {
    for (const path of ['nothing', 'devices/dev-x', 'tasks/01X', 'tasks/01X/frame', 'rewards/epochs/999', 'payouts/x'])
      expect((await here.call(`/api/${path}`)).status).toBe(404)
  })

  it('refuses bodies that are too large', async () => {
    const frame = await here.call('/api/tasks?model=mobilenet-v1', { method: 'POST', body: new Uint8Array(1_048_577) })
    expect(frame.status).toBe(413)
    expect((await errorOf(frame)).message).toBe('The body may hold 1048576 bytes at most.')
    const enrolment = { method: 'POST', headers: { 'content-type': 'application/json' }, body: ' '.repeat(20_000) }
    expect((await here.call('/enroll', enrolment, '')).status).toBe(413)
  })

  describe('lets boards in', () => {
    const post = (path: string, body: unknown) =>
      here.call(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

    it('by tokens that it makes and lists, but shows only once', async () => {
      const made = await post('/api/enrollments', { label: 'roof', uses: 3, expiresInS: 600 })
      expect(made.status).toBe(201)
      const { token, command } = (await made.json()) as { token: string; command: string }
      expect(command).toBe(`sudo bramble-agent enroll --console ${here.url} --token ${token}`)
      const listed = await (await here.call('/api/enrollments')).text()
      expect(listed).toContain('"label":"roof"')
      expect(listed).not.toContain(token)
      expect((await post('/api/enrollments', { owner: 'nobody' })).status).toBe(404)
      expect((await post('/api/enrollments', { uses: 0 })).status).toBe(400)
    })

    const enrolment = { token: 'x', publicKey: 'A'.repeat(43), proof: 'A'.repeat(86) }

    it('and refuses a made-up token of any length in one sentence', async () => {
      const refused = await post('/enroll', enrolment)
      expect(refused.status).toBe(401)
      expect((await errorOf(refused)).code).toBe('bad-proof')
    })

    it('and says which names a board may have', async () => {
      const refused = await post('/enroll', { ...enrolment, name: 'Küche' })
      expect(refused.status).toBe(400)
      expect((await errorOf(refused)).message).toBe(
        'name: must be 1 to 63 letters a to z, digits and hyphens, as porch-2',
      )
    })
  })

  describe('with a board', () => {
    let board: TestBoard
    beforeAll(async () => {
      board = await startTestBoard(here)
    })
    afterAll(() => board.link.close())

    const ask = (query: string, body: string | Uint8Array<ArrayBuffer> = new Uint8Array(photo), token?: string) =>
      here.call(`/api/tasks?${query}`, { method: 'POST', body }, token)

    it('runs a frame and stays for the answer', async () => {
      const answered = ask('model=mobilenet-v1&wait=1&id=first')
      await board.answer(await until(() => board.tasks.at(-1), 'the task'))
      const response = await answered
      expect(response.status).toBe(200)
      const answer = (await response.json()) as ResultMessage
      expect(answer).toMatchObject({ id: 'first', model: 'mobilenet-v1@1.0.0', device: board.id })
      expect(answer).toHaveProperty('result.labels.0.label', 'cat')
    })

    it('answers the same id again with the same answer, and runs it once', async () => {
      const heard = board.tasks.length
      const again = await json<ResultMessage>(ask('model=mobilenet-v1&wait=1&id=first'))
      expect(again).toMatchObject({ id: 'first', device: board.id })
      expect(board.tasks).toHaveLength(heard)
    })

    it('accepts a frame without waiting, and shows the task, its picture and later its answer', async () => {
      const response = await ask('model=ssd-mobilenet-v1')
      expect(response.status).toBe(202)
      const { id } = (await response.json()) as { id: string }
      const task = await until(() => board.tasks.find((heard) => heard.id === id), 'the task')
      expect(await json<TaskView>(here.call(`/api/tasks/${id}`))).toMatchObject({
        state: 'leased',
        device: { id: board.id, name: board.name },
        price: '250',
        frame: true,
      })
      const picture = await here.call(`/api/tasks/${id}/frame`)
      expect(picture.headers.get('content-type')).toBe('image/jpeg')
      expect(Buffer.from(await picture.arrayBuffer()).equals(photo)).toBe(true)
      await board.answer(task)
      const done = await until(async () => {
        const view = await json<TaskView>(here.call(`/api/tasks/${id}`))
        return view.state === 'done' ? view : undefined
      }, 'the answer')
      expect(done.answer).toHaveProperty('result.kind', 'classification')
    })

    it('shows requesters their own tasks only', async () => {
      const { key } = await here.trades.requesters.create({ id: 'stranger', name: 'Stranger' })
      const [newest] = await json<TaskView[]>(here.call('/api/tasks?limit=1'))
      expect(newest?.requester).toBe('demo')
      expect((await here.call(`/api/tasks/${newest?.id}`, {}, key)).status).toBe(404)
      expect((await here.call(`/api/tasks/${newest?.id}/frame`, {}, key)).status).toBe(404)
      expect(await json(here.call('/api/tasks?requester=demo', {}, key))).toEqual([])
      const poor = await ask('model=mobilenet-v1&wait=1', new Uint8Array(photo), key)
      expect(poor.status).toBe(402)
      expect((await errorOf(poor)).code).toBe('budget-exhausted')
    })

    it.each([
      ['an unknown model', 'model=yolo&wait=1', photo, 404, 'unknown-model'],
      ['a text file', 'model=mobilenet-v1&wait=1', 'hello, board', 400, 'bad-envelope'],
      ['an empty body', 'model=mobilenet-v1&wait=1', '', 400, 'bad-envelope'],
      ['a bad CBOR map', 'model=mobilenet-v1&wait=1', Buffer.from([0xa1, 0x61]), 400, 'bad-envelope'],
    ] as const)('refuses %s with the answer that MQTT would carry', async (_, query, body, status, code) => {
      const refused = await ask(query, typeof body === 'string' ? body : new Uint8Array(body))
      expect(refused.status).toBe(status)
      const answer = (await refused.json()) as ResultMessage
      expect(answer).toMatchObject({ device: 'console', error: { code } })
    })

    it('filters the list of tasks', async () => {
      const list = await json<TaskView[]>(here.call(`/api/tasks?model=ssd-mobilenet-v1&state=done&device=${board.id}`))
      expect(list).toHaveLength(1)
      const before = await json<TaskView[]>(here.call(`/api/tasks?before=${list[0]?.id}`))
      expect(before.every(({ id }) => id < (list[0]?.id ?? ''))).toBe(true)
    })

    it('credits receipts, and pays them out on demand', async () => {
      await board.receipt(board.tasks)
      const before = await json<Rewards>(here.call('/api/rewards'))
      // 5 % fee and 5 % royalty of 100 and of 250, both rounded down.
      expect(before.owners[0]).toMatchObject({ id: 'demo', boards: 1, pending: '316' })
      expect(before).toMatchObject({ operatorFees: '17', royalties: '17' })
      expect((await json<Overview>(here.call('/api/overview'))).money).toMatchObject({
        earnedToday: '316',
        owed: '316',
      })

      const settled = await json<{ message: string; payouts: { id: string }[] }>(
        here.call('/api/payouts', { method: 'POST' }),
      )
      expect(settled).toMatchObject({
        message: '1 payout is on the way.',
        payouts: [{ id: 'e1-1/1', batch: 'e1-1', amount: '316', owner: { id: 'demo' }, rentLamports: 2_039_280 }],
      })
      const one = await json<{ payout: unknown }>(here.call(`/api/payouts/${encodeURIComponent('e1-1/1')}`))
      expect(one.payout).toEqual(settled.payouts[0])
      const again = await json<{ message: string }>(here.call('/api/payouts', { method: 'POST' }))
      expect(again.message).toBe('Nothing has left the hold yet, so there is nothing to pay.')
      const after = await json<Rewards>(here.call('/api/rewards'))
      expect(after.owners[0]).toMatchObject({ pending: '0', payable: '0', inPayout: '316' })
      const [open, closed] = after.epochs
      expect(open).not.toHaveProperty('closedAt')
      expect(closed).toMatchObject({ receipts: 2, amount: '316' })
      const detail = await json<{ receipts: { task: string }[] }>(here.call(`/api/rewards/epochs/${closed?.id}`))
      expect(detail.receipts.map(({ task }) => task).sort()).toEqual(board.tasks.map(({ id }) => id).sort())
    })

    it('shows the board with its clocks, work and earnings', async () => {
      await board.say(
        { kind: 'heartbeat', device: board.id },
        {
          at: new Date().toISOString(),
          upS: 5,
          queue: 3,
          rate: 1.5,
          in: 2,
          answered: 2,
          refused: 0,
          drops: {},
          outbox: 0,
          memMiB: 90,
          freeMiB: 300,
        },
      )
      const detail = await until(async () => {
        const read = await json<DeviceDetail>(here.call(`/api/devices/${board.id}`))
        return read.heartbeat && read
      }, 'the heartbeat')
      expect(detail.device).toMatchObject({ name: board.name, state: 'working', rate: 1.5, queue: 3, earned: '316' })
      expect(detail.device.clocks).toMatchObject({ mqtt: { state: 'online' } })
      expect(detail.history).toHaveLength(1)
      expect(detail.receipts).toHaveLength(2)
      expect(detail.tasks.length).toBeGreaterThan(0)
    })

    it('shows how the board is: its flags, what it has to tell, the price of its work, its vitals', async () => {
      const vitals = {
        at: new Date().toISOString(),
        temperatures: [{ zone: 'cpu-thermal', c: 61.2 }],
        power: { now: ['under-voltage'], sinceBoot: ['under-voltage'] },
        memory: { totalMiB: 922, freeMiB: 500 },
        host: { restarts: 0, crashes: 0, timeouts: 0, recycled: 0, poisoned: 0, unloads: 0, waitedForLoad: 0 },
      }
      const before = await json<DeviceDetail>(here.call(`/api/devices/${board.id}`))
      const energy = { j: 0.12, from: 'estimated' }
      const beat = { ...before.heartbeat, flags: ['under-voltage'], energy }
      await board.say({ kind: 'heartbeat', device: board.id }, beat)
      const notices = ['The outbox was set aside.', 'And another.']
      await board.say({ kind: 'info', device: board.id }, { ...before.info, notices })
      await board.say({ kind: 'vitals', device: board.id }, vitals)
      const detail = await until(async () => {
        const read = await json<DeviceDetail>(here.call(`/api/devices/${board.id}`))
        return read.vitals && read
      }, 'the vitals')
      expect(detail.vitals).toEqual(vitals)
      expect(detail.device).toMatchObject({ flags: ['under-voltage'], notice: notices[0], energy })
      expect(detail.device.told).not.toBe(before.device.told)
    })

    it('has an overview whose numbers are true', async () => {
      const overview = await json<Overview>(here.call('/api/overview'))
      expect(overview.devices).toEqual({ total: 1, working: 1, idle: 0, late: 0, offline: 0 })
      expect(overview.tasks).toMatchObject({ waiting: 0, answeredToday: 2, failedToday: 0, lost: 0 })
      expect(overview.health).toEqual({
        level: 'attention',
        sentence: expect.stringMatching(/^1 board is not well\. [a-z-]+: its supply voltage drops too low\./),
        more: [expect.stringMatching(/^1 board has a notice for you\. [a-z-]+: The outbox was set aside\.$/)],
      })
    })

    it('proves that the money adds up', async () => {
      const check = await json<LedgerCheck>(here.call('/api/ledger/check'))
      expect(check.checks.filter(({ ok }) => !ok)).toEqual([])
      expect(check.checks.map(({ name }) => name)).toContain('the treasury covers what is owed')
    })

    it('removes no board that is connected, and none that it does not know', async () => {
      const remove = (id: string) => here.call(`/api/devices/${id}`, { method: 'DELETE' })
      const connected = await remove(board.id)
      expect(connected.status).toBe(409)
      expect((await errorOf(connected)).message).toMatch(/^It is connected: switch it off/)
      expect((await remove('dev-x')).status).toBe(404)
    })

    it('counts messages that make no sense, and goes on', async () => {
      await board.say({ kind: 'heartbeat', device: board.id }, 'not JSON')
      await board.say({ kind: 'info', device: board.id }, { device: board.id })
      await board.say({ kind: 'vitals', device: board.id }, { temperatures: 'hot' })
      await board.say({ kind: 'receipts', device: board.id }, 'a.b.c')
      await board.say({ kind: 'status', device: board.id }, 'sleeping')
      const complaints = await until(() => {
        const { complaints: totals } = here.bus.stats()
        return totals['bad-status'] ? totals : undefined
      }, 'the complaint')
      expect(complaints).toEqual({ 'bad-heartbeat': 1, 'bad-info': 1, 'bad-vitals': 1, 'bad-status': 1 })
      expect((await here.call('/healthz', {}, '')).status).toBe(200)
    })

    it('tells of a board that goes, with the reason, and of the boards it has', async () => {
      await board.say({ kind: 'status', device: board.id }, 'offline', true)
      const overview = await until(async () => {
        const read = await json<Overview>(here.call('/api/overview'))
        return read.devices.offline === 1 ? read : undefined
      }, 'the board to be offline')
      expect(overview.health.level).toBe('problem')
      expect(overview.health.sentence).toMatch(new RegExp(`^No board can be reached; 0 tasks wait. ${board.name}: `))
    })
  })
})
