import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readConfig } from '../../console/config.ts'

const read = (env: Record<string, string>, flags: Record<string, string> = {}) =>
  readConfig(env, flags, 'up', '/srv/bramble')

describe('config', () => {
  it('has the defaults of the README', () => {
    const answer = read({})
    expect(answer).toMatchObject({
      ok: true,
      config: {
        data: resolve('data'),
        models: '/srv/bramble/models',
        host: '127.0.0.1',
        http: 8080,
        mqtt: 1883,
        chain: 8899,
        agents: 2,
        demo: true,
        holdS: 10,
        settleEveryS: 60,
      },
    })
  })

  it('holds money for a day unless it is a demonstration', () => {
    const answer = readConfig({}, {}, 'console', '/srv/bramble')
    expect(answer).toMatchObject({ ok: true, config: { holdS: 86_400 } })
  })

  it('lets a flag win over the environment', () => {
    expect(read({ BRAMBLE_HTTP_PORT: '9000' })).toMatchObject({ config: { http: 9000 } })
    expect(read({ BRAMBLE_HTTP_PORT: '9000' }, { http: '9001' })).toMatchObject({ config: { http: 9001 } })
  })

  it('has payouts go through lookup tables unless told otherwise', () => {
    expect(read({})).toMatchObject({ config: { lookupTables: true } })
    expect(read({}, { lookupTables: 'false' })).toMatchObject({ config: { lookupTables: false } })
    expect(read({ BRAMBLE_LOOKUP_TABLES: '0' })).toMatchObject({ config: { lookupTables: false } })
  })

  it('has a local chain with the slots of a cluster unless told otherwise', () => {
    expect(read({})).toMatchObject({ config: { slotMs: 400 } })
    expect(read({ BRAMBLE_SLOT_MS: '50' })).toMatchObject({ config: { slotMs: 50 } })
    expect(read({ BRAMBLE_SLOT_MS: '1' })).toMatchObject({ ok: false })
  })

  it('takes an empty variable for an unset one', () => {
    expect(read({ BRAMBLE_AGENTS: '' })).toMatchObject({ config: { agents: 2 } })
  })

  it('tells all faults at once, each by the name it was given under', () => {
    const answer = read({ BRAMBLE_MQTT_PORT: 'lots', BRAMBLE_MQTT_URL: 'localhost' }, { http: '70000', agents: '-1' })
    expect(answer.ok).toBe(false)
    if (answer.ok) return
    expect(answer.faults).toHaveLength(4)
    expect(answer.faults.join('\n')).toMatch(/--http 70000: /)
    expect(answer.faults.join('\n')).toMatch(/--agents -1: /)
    expect(answer.faults.join('\n')).toMatch(/BRAMBLE_MQTT_PORT lots: must be a port number/)
    expect(answer.faults.join('\n')).toMatch(/BRAMBLE_MQTT_URL localhost: must be mqtt:/)
  })

  it('asks for a key and an RPC address where real money is paid', () => {
    const answer = read({ BRAMBLE_CLUSTER: 'devnet' })
    expect(answer.ok ? [] : answer.faults).toEqual([
      '--rpc-url (or BRAMBLE_RPC_URL) is needed with cluster devnet',
      '--treasury-key (or BRAMBLE_TREASURY_KEY) is needed with cluster devnet',
      '--mint (or BRAMBLE_MINT) is needed with cluster devnet',
    ])
  })
})
