import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Discovery, discoveryOf, platformsOf } from '../../agent/home-assistant/discovery.ts'
import { createImages } from '../../agent/home-assistant/images.ts'
import { MODEL_READINGS } from '../../agent/home-assistant/readings.ts'
import { createHomeAssistant } from '../../agent/home-assistant.ts'
import { startBroker } from '../../broker/embedded.ts'
import type { InfoMessage } from '../../broker/protocol/messages.ts'
import { openClient } from '../broker/rig.ts'
import { runAgent } from './board.ts'
import { faultsOf } from './home-assistant-rules.ts'

const KINDS = ['classification', 'detection', 'audio', 'series', 'tensor'] as const
const info = (models: readonly string[] = KINDS): Pick<InfoMessage, 'name' | 'version' | 'board' | 'models'> => ({
  name: 'calm-green-fox',
  version: '1.2.3',
  board: { model: 'Raspberry Pi 4 Model B Rev 1.4', arch: 'arm64', cpus: 4, memMiB: 3792 },
  models: models.map((task) => ({ id: `a-${task}`, version: '1.0.0', digest: 'd'.repeat(64), task })),
})
const facts = (more: Partial<Parameters<typeof discoveryOf>[0]> = {}): Parameters<typeof discoveryOf>[0] => ({
  device: 'dev-a',
  root: 'bramble/1',
  info: info(),
  pictures: new Set(['a-classification', 'a-detection']),
  hasPowerFlags: true,
  hasTemperature: true,
  before: {},
  ...more,
})
const TOPIC = 'homeassistant/device/dev-a/config'

describe('the announcement to Home Assistant', () => {
  it('follows the rules of its MQTT integration', () => {
    expect(faultsOf(TOPIC, JSON.stringify(discoveryOf(facts())))).toEqual([])
  })

  it('those rules notice what is wrong', () => {
    const wrong = (change: (message: Record<string, unknown>) => void): string[] => {
      const message = JSON.parse(JSON.stringify(discoveryOf(facts())))
      change(message)
      return faultsOf(TOPIC, JSON.stringify(message))
    }
    const entity = (message: Record<string, unknown>, key: string): Record<string, unknown> =>
      (message['cmps'] as Record<string, Record<string, unknown>>)[key]!
    expect(wrong((m) => delete m['o'])).not.toEqual([])
    expect(wrong((m) => Object.assign(m, { extra: 1 }))).toEqual(['root: extra is not known'])
    expect(wrong((m) => delete entity(m, 'queue')['uniq_id'])).toEqual(['queue: unique_id is missing'])
    expect(wrong((m) => delete entity(m, 'image_a-detection')['img_t'])).toEqual([
      'image_a-detection: image_topic is missing',
    ])
    expect(wrong((m) => Object.assign(entity(m, 'temperature'), { unit_of_meas: 'C' }))).toEqual([
      'temperature: unit does not fit device_class',
    ])
    expect(wrong((m) => Object.assign(entity(m, 'queue'), { stat_t: 'a/#/b' }))).toEqual([
      'queue: state_topic is no topic filter',
    ])
  })

  it('has one sensor per model, an image per picture model, and only the diagnostics that the board can give', () => {
    const keys = (more = {}) => Object.keys(discoveryOf(facts(more)).cmps)
    expect(keys()).toEqual([
      ...['queue', 'rate', 'memory', 'temperature', 'undervoltage'],
      ...['model_a-classification', 'image_a-classification', 'model_a-detection', 'image_a-detection'],
      ...['model_a-audio', 'model_a-series', 'model_a-tensor'],
    ])
    const bare = keys({ hasPowerFlags: false, hasTemperature: false, info: info([]) })
    expect(bare).toEqual(['queue', 'rate', 'memory'])
  })

  it('takes back the entities of models that are gone, and gives them again when they return', () => {
    const before = platformsOf(discoveryOf(facts()))
    const less = discoveryOf(facts({ info: info(['detection']), before }))
    expect(less.cmps['model_a-audio']).toEqual({ p: 'sensor' })
    expect(less.cmps['image_a-classification']).toEqual({ p: 'image' })
    expect(faultsOf(TOPIC, JSON.stringify(less))).toEqual([])
    const again = discoveryOf(facts({ before: platformsOf(less) }))
    expect(again.cmps['model_a-audio']).toHaveProperty('stat_t', 'bramble/1/d/dev-a/out/a-audio')
  })
})

describe('switching it on and off', () => {
  function openOwner(on: boolean, file: string) {
    const said: { topic: string; payload: string }[] = []
    let online = true
    const homeAssistant = createHomeAssistant({
      on,
      file,
      device: 'dev-a',
      root: 'bramble/1',
      info,
      pictures: () => new Set<string>(),
      sensors: async () => ({ hasPowerFlags: false, hasTemperature: false }),
      async publish(topic, payload) {
        if (!online) throw new Error('not connected')
        said.push({ topic, payload })
      },
      log: pino({ level: 'silent' }),
    })
    const connected = (is: boolean): void => {
      online = is
    }
    return { said, homeAssistant, connected }
  }
  const folder = () => {
    const path = mkdtempSync(join(tmpdir(), 'ha-'))
    onTestFinished(() => rmSync(path, { recursive: true, force: true }))
    return join(path, 'home-assistant.json')
  }

  it('says nothing, and writes nothing, on a board that never was on', async () => {
    const file = folder()
    const { said, homeAssistant } = openOwner(false, file)
    await homeAssistant.announce()
    expect({ said, written: existsSync(file) }).toEqual({ said: [], written: false })
  })

  it('off after on, it is taken back once, as soon as there is a connection', async () => {
    const file = folder()
    await openOwner(true, file).homeAssistant.announce()
    const { said, homeAssistant, connected } = openOwner(false, file)
    connected(false)
    await homeAssistant.announce()
    expect(existsSync(file)).toBe(true)
    connected(true)
    await homeAssistant.announce()
    await homeAssistant.announce()
    expect(said).toEqual([{ topic: TOPIC, payload: '' }])
    expect(existsSync(file)).toBe(false)
  })
})

describe('pictures for Home Assistant', () => {
  it('are JPEG, and one a second of each model at most', () => {
    const sent: string[] = []
    let now = 0
    const images = createImages({ publish: async (model) => void sent.push(`${model} at ${now}`), elapsed: () => now })
    for (; now < 2_500; now += 100) {
      images.answered('a', 'image/jpeg', Buffer.alloc(1))
      images.answered('b', 'image/png', Buffer.alloc(1))
    }
    images.answered('c', 'image/jpeg', Buffer.alloc(1))
    expect(sent).toEqual(['a at 0', 'a at 1000', 'a at 2000', 'c at 2500'])
  })
})

/** A broker as in somebody's home: whoever is in it may say and hear everything. */
async function openHome() {
  const everything = (['publish', 'subscribe'] as const).flatMap((action) =>
    ['bramble/1/#', 'homeassistant/#'].map((topic) => ({ permission: 'allow', action, topic }) as const),
  )
  const broker = await startBroker({
    host: '127.0.0.1',
    port: 0,
    log: pino({ level: 'silent' }),
    now: Date.now,
    authenticate: async (id) => ({ role: 'console', id, grants: everything }),
  })
  onTestFinished(() => broker.close())
  return broker
}

const PYTHON = 'python3'
const hasJinja = (): boolean => {
  try {
    execFileSync(PYTHON, ['-c', 'import jinja2'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('the templates', () => {
  const answer = (result: unknown) => ({ id: 'x', model: 'm@1', device: 'd', at: '2026-11-22T21:01:31.412Z', result })
  const box = [0, 0, 1, 1]
  const cases: readonly (readonly [keyof typeof MODEL_READINGS, unknown, string])[] = [
    ['classification', answer({ kind: 'classification', labels: [{ label: 'cat', score: 0.9 }] }), 'cat'],
    ['classification', answer({ kind: 'classification', labels: [] }), 'nothing'],
    [
      'detection',
      answer({
        kind: 'detection',
        objects: [
          { label: 'cat', box },
          { label: 'dog', box },
        ],
      }),
      '2',
    ],
    ['audio', answer({ kind: 'audio', segments: [{ label: 'speech' }] }), 'speech'],
    ['audio', answer({ kind: 'audio', segments: [] }), 'nothing'],
    ['series', answer({ kind: 'series', score: 0.25, threshold: 1, anomaly: false }), '0.25'],
    ['tensor', answer({ kind: 'tensor', outputs: [] }), '2026-11-22T21:01:31.412Z'],
    ['classification', { error: { code: 'busy' } }, 'before'],
    ['detection', { error: { code: 'busy' } }, ''],
  ]

  it('say in Jinja what an answer says', (context) => {
    context.skip(!hasJinja(), 'skipped: python3 has no jinja2')
    const script = `
import json, sys, jinja2
env = jinja2.sandbox.ImmutableSandboxedEnvironment() if hasattr(jinja2, "sandbox") else jinja2.Environment()
out = []
for state, attributes, value in json.load(sys.stdin):
    known = dict(value_json=value, this=dict(state="before"))
    out.append([env.from_string(state).render(**known), json.loads(env.from_string(attributes).render(**known))])
print(json.dumps(out))`
    const input = cases.map(([kind, value]) => [
      MODEL_READINGS[kind].val_tpl,
      MODEL_READINGS[kind].json_attr_tpl,
      value,
    ])
    const output = execFileSync(PYTHON, ['-c', script], { input: JSON.stringify(input) }).toString()
    const rendered = JSON.parse(output) as [string, Record<string, unknown>][]
    expect(rendered.map(([state]) => state)).toEqual(cases.map(([, , state]) => state))
    expect(rendered[2]![1]).toMatchObject({ objects: [{ label: 'cat', box }, { label: 'dog' }], model: 'm@1' })
    expect(rendered.at(-1)![1]).toEqual({ error: 'busy' })
  })
})

describe('a real board', () => {
  it('announces itself with --home-assistant, shows its pictures, and takes it back without', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ha-board-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const broker = await openHome()
    const flags = ['run', '--data', folder, '--mqtt-url', broker.url, '--device', 'dev-ha', '--serve', 'mobilenet-v1']
    writeFileSync(join(folder, 'password'), 'any', { mode: 0o600 })
    flags.push('--password-file', join(folder, 'password'))
    const first = runAgent([...flags, '--home-assistant'])
    onTestFinished(() => void first.child.kill('SIGKILL'))
    await first.logged('"serving"')
    const homeAssistant = await openClient(broker.url, 'home-assistant')
    const messages: { topic: string; payload: Buffer; retain: boolean }[] = []
    const waiting: (() => void)[] = []
    homeAssistant.on('message', (topic, payload, { retain }) => {
      messages.push({ topic, payload, retain })
      for (const wake of waiting.splice(0)) wake()
    })
    const heard = async (fits: (message: (typeof messages)[number]) => boolean) => {
      for (;;) {
        const message = messages.find(fits)
        if (message) return message
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    }
    await homeAssistant.subscribeAsync(['homeassistant/#', 'bramble/1/d/dev-ha/img/#'], { qos: 0 })
    const announced = await heard(({ topic }) => topic === 'homeassistant/device/dev-ha/config')
    expect(announced.retain).toBe(true)
    expect(faultsOf(announced.topic, announced.payload.toString())).toEqual([])
    const { cmps } = JSON.parse(announced.payload.toString()) as Discovery
    expect(cmps['image_mobilenet-v1']).toMatchObject({ img_t: 'bramble/1/d/dev-ha/img/mobilenet-v1' })
    const frame = readFileSync(new URL('../../models/mobilenet-v1/golden/coffee.jpg', import.meta.url))
    await homeAssistant.publishAsync('bramble/1/d/dev-ha/in/mobilenet-v1', frame)
    const picture = await heard(({ topic }) => topic === 'bramble/1/d/dev-ha/img/mobilenet-v1')
    expect({ same: picture.payload.equals(frame), retain: picture.retain }).toEqual({ same: true, retain: false })
    first.child.kill('SIGTERM')
    await first.exited
    const second = runAgent(flags)
    onTestFinished(() => void second.child.kill('SIGKILL'))
    await second.logged('told to forget this board')
    await heard(({ topic, payload }) => topic === 'homeassistant/device/dev-ha/config' && payload.length === 0)
  }, 30_000)
})
