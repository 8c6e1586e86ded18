// The edges of the chain's server: sizes, types, ports, and WebSocket subscriptions.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type LocalChain, startLocalChain } from '../../console/settlement/local-chain/start.ts'
import { silent } from './lab.ts'

let chain: LocalChain
let folder: string
const options = (name: string, port: number) =>
  ({ folder: join(folder, name), port, now: Date.now, log: silent, slotMs: 10 }) as const
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bramble-server-'))
  chain = await startLocalChain(options('one', 0))
})
afterAll(async () => {
  await chain.close()
  await rm(folder, { recursive: true })
})

const post = (body: string, type = 'application/json') =>
  fetch(chain.rpcUrl, { method: 'POST', headers: { 'content-type': type }, body })

describe('over HTTP', () => {
  it('answers health, refuses other methods and types, and bodies over the limit', async () => {
    expect(await (await fetch(`${chain.rpcUrl}/health`)).text()).toBe('ok')
    expect((await fetch(chain.rpcUrl)).status).toBe(405)
    // What a web page could send to a foreign origin without being asked.
    expect((await post('{"jsonrpc":"2.0","id":1,"method":"getHealth"}', 'text/plain')).status).toBe(415)
    expect((await post('x'.repeat(300 * 1024))).status).toBe(413)
    expect((await post('{"jsonrpc":"2.0","method":"getHealth"}')).status).toBe(204)
    expect(await (await post('{"jsonrpc":"2.0","id":1,"method":"getHealth"}')).json()).toEqual({
      jsonrpc: '2.0',
      result: 'ok',
      id: 1,
    })
  })

  it('writes numbers beyond 2^53 with every digit', async () => {
    const wallet = '9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g'
    const ask = (method: string, ...params: unknown[]) =>
      post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))
    await ask('requestAirdrop', wallet, 1_000_000)
    const text = await (await ask('getAccountInfo', wallet, { encoding: 'base64' })).text()
    expect(text).toContain('"rentEpoch":18446744073709551615')
  })

  it('says which port is taken', async () => {
    await expect(startLocalChain(options('two', chain.port))).rejects.toMatchObject({
      code: 'port-taken',
      message: expect.stringContaining(`port ${chain.port} is taken`),
    })
    // The neighbour counts too.
    await expect(startLocalChain(options('two', chain.port - 1))).rejects.toMatchObject({ code: 'port-taken' })
  })
})

describe.each(['the same port', 'the next port'])('over WebSocket on %s', (where) => {
  const url = () => (where === 'the same port' ? chain.rpcUrl.replace('http', 'ws') : chain.wsUrl)
  const ask = async (socket: WebSocket, body: object) => {
    socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, ...body }))
    return JSON.parse(String((await once(socket, 'message'))[0]))
  }

  it('announces slots in order until told to stop', async () => {
    const socket = new WebSocket(url())
    await once(socket, 'open')
    const { result: subscription } = await ask(socket, { method: 'slotSubscribe' })
    const seen: number[] = []
    while (seen.length < 3) {
      const { method, params } = JSON.parse(String((await once(socket, 'message'))[0]))
      expect([method, params.subscription]).toEqual(['slotNotification', subscription])
      expect(params.result.parent).toBe(params.result.slot - 1)
      seen.push(params.result.slot)
    }
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
    socket.close()
    await once(socket, 'close')
  })

  it('refuses what it does not serve, and closes on a message over the limit', async () => {
    const socket = new WebSocket(url())
    await once(socket, 'open')
    expect(await ask(socket, { method: 'accountSubscribe', params: [] })).toMatchObject({ error: { code: -32601 } })
    expect(await ask(socket, { method: 'signatureSubscribe', params: ['x'] })).toMatchObject({
      error: { code: -32602 },
    })
    expect(await ask(socket, { method: 'slotUnsubscribe', params: [123_456] })).toMatchObject({ result: false })
    socket.send('x'.repeat(70 * 1024))
    expect((await once(socket, 'close'))[0]).toBe(1009)
  })
})
