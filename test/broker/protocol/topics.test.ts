import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { filters, formatTopic, isTopicLevel, parseTopic, type Topic } from '../../../broker/protocol/topics.ts'

const level = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const root = fc.array(level, { minLength: 1, maxLength: 3 }).map((levels) => levels.join('/'))
const task = fc.option(level, { nil: undefined })
const withTask = <T extends object>(topic: T & { task: string | undefined }) =>
  (topic.task === undefined ? { ...topic, task: undefined } : topic) as T & { task?: string }
const strip = (topic: object): Topic => JSON.parse(JSON.stringify(topic)) as Topic

const topic: fc.Arbitrary<Topic> = fc
  .oneof(
    fc.record({ kind: fc.constantFrom('device-in', 'device-out'), device: level, model: level, task }).map(withTask),
    fc.record({ kind: fc.constantFrom('status', 'info', 'heartbeat', 'receipts', 'ack'), device: level }),
    fc.record({ kind: fc.constantFrom('command', 'reply'), device: level, name: level, id: level }),
    fc
      .record({ kind: fc.constantFrom('requester-in', 'requester-out'), requester: level, model: level, task })
      .map(withTask),
    fc.record({ kind: fc.constant('requester-ack'), requester: level, task: level }),
  )
  .map(strip)

describe('topics', () => {
  it('every topic parses back to what it was built from, under any root', () => {
    fc.assert(
      fc.property(topic, root, (built, under) => {
        const text = formatTopic(built, under)
        expect(parseTopic(text, under)).toEqual(built)
        expect(text.startsWith(`${under}/`)).toBe(true)
      }),
    )
  })

  it('two different topics never share a text', () => {
    fc.assert(
      fc.property(topic, topic, (a, b) => {
        fc.pre(JSON.stringify(a) !== JSON.stringify(b))
        expect(formatTopic(a)).not.toBe(formatTopic(b))
      }),
    )
  })

  it('any text at all is parsed or refused without throwing, and what is parsed is built to the same text', () => {
    const almost = fc.array(
      fc.oneof(fc.constantFrom('d', 'r', 'in', 'out', 'cmd', 'res', 'ack', 'hb', 'status'), level, fc.string()),
      {
        maxLength: 7,
      },
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          almost.map((levels) => `bramble/1/${levels.join('/')}`),
        ),
        (text) => {
          const parsed = parseTopic(text)
          if (parsed) expect(formatTopic(parsed)).toBe(text)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('the topics of the design are spelled as the design spells them', () => {
    expect(formatTopic({ kind: 'device-in', device: 'dev-a', model: 'm' })).toBe('bramble/1/d/dev-a/in/m')
    expect(formatTopic({ kind: 'device-out', device: 'dev-a', model: 'm', task: 't' })).toBe(
      'bramble/1/d/dev-a/out/m/t',
    )
    expect(formatTopic({ kind: 'heartbeat', device: 'dev-a' })).toBe('bramble/1/d/dev-a/hb')
    expect(formatTopic({ kind: 'command', device: 'dev-a', name: 'hello', id: '7' })).toBe(
      'bramble/1/d/dev-a/cmd/hello/7',
    )
    expect(formatTopic({ kind: 'reply', device: 'dev-a', name: 'hello', id: '7' })).toBe(
      'bramble/1/d/dev-a/res/hello/7',
    )
    expect(formatTopic({ kind: 'requester-ack', requester: 'r1', task: 't' })).toBe('bramble/1/r/r1/ack/t')
    expect(formatTopic({ kind: 'discovery', device: 'dev-a' })).toBe('homeassistant/device/dev-a/config')
  })

  it.each([
    ['another root', 'other/1/d/dev/status'],
    ['a root that only begins alike', 'bramble/12/d/dev/status'],
    ['no device', 'bramble/1/d'],
    ['a dot', 'bramble/1/d/dev.a/status'],
    ['a space', 'bramble/1/d/dev a/status'],
    ['an empty level', 'bramble/1/d//status'],
    ['a trailing slash', 'bramble/1/d/dev/status/'],
    ['a leading slash', '/bramble/1/d/dev/status'],
    ['a wildcard', 'bramble/1/d/+/status'],
    ['an unknown state', 'bramble/1/d/dev/mood'],
    ['a state with more levels', 'bramble/1/d/dev/status/x'],
    ['an input without a model', 'bramble/1/d/dev/in'],
    ['a task with more levels', 'bramble/1/d/dev/in/m/t/x'],
    ['a command without an id', 'bramble/1/d/dev/cmd/hello'],
    ['a requester state', 'bramble/1/r/req/status'],
    ['an ack without a task', 'bramble/1/r/req/ack'],
    ['another side', 'bramble/1/x/dev/status'],
    ['a level of 65 letters', `bramble/1/d/${'a'.repeat(65)}/status`],
    ['a name of Object.prototype', 'bramble/1/d/dev/constructor'],
    ['nothing', ''],
  ])('%s is refused', (_, text) => {
    expect(parseTopic(text)).toBeUndefined()
  })

  it('an id that is not a level is a bug of the caller', () => {
    for (const device of ['', 'a/b', 'a.b', '+', '#', 'ä'])
      expect(() => formatTopic({ kind: 'status', device })).toThrow(RangeError)
    expect(isTopicLevel('dev-a_1')).toBe(true)
  })

  it('the filters of each side never overlap, because some engines deliver twice then', () => {
    const lists = [
      filters.deviceInput('dev'),
      filters.console(),
      filters.requesterOutput('req'),
      filters.deviceOutput('dev'),
    ]
    const overlaps = (a: string, b: string): boolean => {
      const [left, right] = [a.split('/'), b.split('/')]
      for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
        if (left[i] === '#' || right[i] === '#') return true
        if (left[i] === undefined || right[i] === undefined) return false
        if (left[i] !== '+' && right[i] !== '+' && left[i] !== right[i]) return false
      }
      return true
    }
    for (const list of lists)
      for (const [i, a] of list.entries())
        for (const b of list.slice(i + 1)) expect(overlaps(a, b), `${a} and ${b}`).toBe(false)
  })
})
