import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mayPublish, maySubscribe } from '../../broker/acl.ts'
import {
  consoleGrants,
  deviceGrants,
  type Grant,
  type Principal,
  requesterGrants,
} from '../../broker/protocol/credentials.ts'

const device: Principal = { role: 'device', id: 'dev-a', grants: deviceGrants('dev-a') }
const requester: Principal = { role: 'requester', id: 'req', grants: requesterGrants('req') }
const owner: Principal = { role: 'requester', id: 'own', grants: requesterGrants('own', ['dev-a']) }
const operator: Principal = { role: 'console', id: 'console', grants: consoleGrants() }
const nobody: Principal = { role: 'device', id: 'dev-a', grants: [] }
const only = (action: Grant['action'], topic: string): Principal => ({
  role: 'requester',
  id: 'x',
  grants: [{ permission: 'allow', action, topic }],
})

/** MQTT 3.1.1 4.7 matching, written apart from the ACL: the oracle of the properties below. */
function matches(filter: string, topic: string): boolean {
  const pattern = filter
    .split('/')
    .map((level) => (level === '+' ? '[^/]*' : level.replace(/[^A-Za-z0-9_-]/g, '\\$&')))
    .join('/')
  if (filter === '#') return true
  if (filter.endsWith('/#')) return new RegExp(`^${pattern.slice(0, -3)}(/.*)?$`, 's').test(topic)
  return new RegExp(`^${pattern}$`, 's').test(topic)
}

const level = fc.constantFrom('bramble', '1', 'd', 'r', 'dev-a', 'dev-b', 'in', 'out', 'status', 'm', '', 'a b')
const topic = fc.array(level, { minLength: 1, maxLength: 6 }).map((levels) => levels.join('/'))
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([levels, wide]) => [...levels, ...(wide ? ['#'] : [])].join('/'))

describe('who may publish', () => {
  it.each([
    [device, 'bramble/1/d/dev-a/out/m', true],
    [device, 'bramble/1/d/dev-a/out/m/task', true],
    [device, 'bramble/1/d/dev-a/status', true],
    [device, 'bramble/1/d/dev-a/info', true],
    [device, 'bramble/1/d/dev-a/hb', true],
    [device, 'bramble/1/d/dev-a/receipts', true],
    [device, 'bramble/1/d/dev-a/res/hello/1', true],
    [device, 'homeassistant/device/dev-a/config', true],
    [device, 'bramble/1/d/dev-a/in/m', false],
    [device, 'bramble/1/d/dev-a/ack', false],
    [device, 'bramble/1/d/dev-a/cmd/hello/1', false],
    [device, 'bramble/1/d/dev-a/status/x', false],
    [device, 'bramble/1/d/dev-b/out/m', false],
    [device, 'bramble/1/d/dev-ab/out/m', false],
    [device, 'bramble/2/d/dev-a/out/m', false],
    [device, 'homeassistant/device/dev-b/config', false],
    [device, 'bramble/1/r/req/in/m', false],
    [requester, 'bramble/1/r/req/in/m', true],
    [requester, 'bramble/1/r/req/in/m/task', true],
    [requester, 'bramble/1/r/req/out/m', false],
    [requester, 'bramble/1/r/req/ack/task', false],
    [requester, 'bramble/1/r/other/in/m', false],
    [requester, 'bramble/1/d/dev-a/in/m', false],
    [owner, 'bramble/1/d/dev-a/in/m/task', true],
    [owner, 'bramble/1/d/dev-a/cmd/reboot/1', false],
    [owner, 'bramble/1/d/dev-a/status', false],
    [owner, 'bramble/1/d/dev-b/in/m', false],
    [operator, 'bramble/1/d/dev-a/in/m/task', true],
    [operator, 'bramble/1/r/req/out/m', true],
    [operator, '$SYS/broker', false],
    [operator, 'elsewhere', false],
    [nobody, 'bramble/1/d/dev-a/status', false],
  ])('%o publishing on %s: %s', (principal, text, expected) => {
    expect(mayPublish(principal, text)).toBe(expected)
  })

  it('a device never publishes outside its own prefix, whatever the topic', () => {
    const outside = (text: string): boolean =>
      !text.startsWith('bramble/1/d/dev-a/') && text !== 'homeassistant/device/dev-a/config'
    fc.assert(
      fc.property(fc.oneof(topic, fc.string(), filter), (text) => {
        if (outside(text)) expect(mayPublish(device, text)).toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })

  it('wildcards, control characters, $ topics and endless ones are refused even where everything is granted', () => {
    const all = only('publish', '#')
    for (const text of [
      '',
      '+',
      'a/+',
      'a/#',
      '$SYS/x',
      'a\u0000b',
      'a\nb',
      'x'.repeat(257),
      Array(17).fill('a').join('/'),
    ])
      expect(mayPublish(all, text)).toBe(false)
    expect(mayPublish(all, 'a/b')).toBe(true)
  })

  it('matching agrees with MQTT 3.1.1', () => {
    fc.assert(
      fc.property(filter, topic, (granted, text) => {
        fc.pre(text !== '')
        expect(mayPublish(only('publish', granted), text)).toBe(matches(granted, text))
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('who may subscribe', () => {
  it.each([
    [device, 'bramble/1/d/dev-a/in/#', true],
    [device, 'bramble/1/d/dev-a/in/+/+', true],
    [device, 'bramble/1/d/dev-a/in/m/t', true],
    [device, 'bramble/1/d/dev-a/cmd/#', true],
    [device, 'bramble/1/d/dev-a/ack', true],
    [device, 'bramble/1/d/dev-a/#', false],
    [device, 'bramble/1/d/+/in/#', false],
    [device, 'bramble/1/#', false],
    [device, '#', false],
    [device, '+/1/d/dev-a/in/#', false],
    [device, 'bramble/1/d/dev-b/in/#', false],
    [device, '$share/g/bramble/1/d/dev-a/in/#', false],
    [device, '$SYS/#', false],
    [requester, 'bramble/1/r/req/out/#', true],
    [requester, 'bramble/1/r/req/ack/+', true],
    [requester, 'bramble/1/r/req/in/#', false],
    [requester, 'bramble/1/r/+/out/#', false],
    [requester, 'bramble/1/d/dev-a/out/#', false],
    [owner, 'bramble/1/d/dev-a/out/#', true],
    [owner, 'bramble/1/d/dev-a/hb', true],
    [owner, 'bramble/1/d/dev-a/receipts', false],
    [operator, 'bramble/1/d/+/out/#', true],
    [operator, '#', false],
    [operator, '$share/g/bramble/1/d/+/out/#', false],
  ])('%o subscribing to %s: %s', (principal, text, expected) => {
    expect(maySubscribe(principal, text)).toBe(expected)
  })

  it('whatever a granted filter matches, the grant matches too', () => {
    fc.assert(
      fc.property(filter, filter, topic, (granted, asked, text) => {
        if (maySubscribe(only('subscribe', granted), asked) && matches(asked, text))
          expect(matches(granted, text)).toBe(true)
      }),
      { numRuns: 5_000 },
    )
  })

  it('a grant covers itself and every topic under it', () => {
    fc.assert(
      fc.property(filter, topic, (granted, text) => {
        fc.pre(granted !== '')
        expect(maySubscribe(only('subscribe', granted), granted)).toBe(true)
        if (text !== '' && matches(granted, text)) expect(maySubscribe(only('subscribe', granted), text)).toBe(true)
      }),
    )
  })

  it('malformed filters are refused even where everything is granted', () => {
    for (const text of ['', 'a/#/b', 'a#', 'a+/b', '##', 'a/b+'])
      expect(maySubscribe(only('subscribe', '#'), text)).toBe(false)
  })
})
