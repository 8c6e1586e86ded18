import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandMessage, type InfoMessage } from '../../broker/protocol/messages.ts'
import { Desired, PACKAGE_PATHS, type Release } from '../../broker/protocol/packages.ts'
import { filters, parseTopic } from '../../broker/protocol/topics.ts'
import type { DesiredChange, DesiredState, ModelView, PublisherView, ReleaseView } from '../../console/routes/shapes.ts'
import {
  createPublisherClient,
  credentialOf,
  makePackage,
  makePublisher,
  releaseIn,
  removeFolders,
  sha256,
} from './registry-rig.ts'
import { startTestBoard, startTestConsole, type TestBoard, type TestConsole, until } from './running-console.ts'

let here: TestConsole
let board: TestBoard
const publisher = makePublisher('fabrik')
let client: ReturnType<typeof createPublisherClient>
/** fashion 1.1.0 of the publisher, and its release. */
let folder: string
let release: Release

const json = async <T>(answer: Promise<Response> | Response): Promise<T> => (await answer).json() as Promise<T>
const codeOf = async (response: Response): Promise<[number, string]> => [
  response.status,
  (await json<{ error: { code: string } }>(response)).error.code,
]
const send = (method: string, path: string, body: unknown) =>
  here.call(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
const models = async (id: string): Promise<ModelView> =>
  (await json<ModelView[]>(here.call('/api/models'))).find((one) => one.id === id)!
const blobs = () => readdir(join(here.data, 'registry', 'blobs'))
const desiredOf = async (device: string, headers: Record<string, string> = {}) =>
  here.call(PACKAGE_PATHS.desired, { headers }, await credentialOf(here, device))

beforeAll(async () => {
  here = await startTestConsole()
  board = await startTestBoard(here)
  client = createPublisherClient(here, publisher)
  folder = await makePackage('fashion', '1.1.0')
  release = await releaseIn(folder, publisher.id)
  await until(
    async () => (await json<ReleaseView[]>(here.call('/api/releases'))).length === 5 || undefined,
    'the folder',
  )
})
afterAll(async () => {
  await board.link.close()
  await here.close()
  await removeFolders()
})

describe('a publisher', () => {
  it('gets nothing in before it is trusted', async () => {
    expect(await codeOf(await client.offer(client.sign(release)))).toEqual([409, 'unknown-publisher'])
  })

  it('is let in with a key, twice with the same, never with another', async () => {
    expect((await client.trust()).status).toBe(201)
    expect((await client.trust()).status).toBe(201)
    const other = await send('POST', '/api/publishers', { id: publisher.id, key: makePublisher('x').raw })
    expect(await codeOf(other)).toEqual([409, 'publisher-taken'])
    const list = await json<PublisherView[]>(here.call('/api/publishers'))
    expect(list.map(({ id }) => id).sort()).toEqual(['fabrik', 'operator'])
  })

  it('cannot have a key that is no point of the curve, or another length', async () => {
    expect((await send('POST', '/api/publishers', { id: 'x', key: 'A'.repeat(42) })).status).toBe(400)
    expect((await send('POST', '/api/publishers', { id: 'a b', key: publisher.raw })).status).toBe(400)
  })
})

describe('a package that comes in', () => {
  it('is refused when somebody else signed it in the name of the publisher', async () => {
    const forger = createPublisherClient(here, makePublisher(publisher.id))
    expect(await codeOf(await forger.offer(forger.sign(release)))).toEqual([400, 'bad-signature'])
  })

  it.each([
    ['is no JWS', () => 'hello'],
    ['is empty', () => ''],
    [
      'names a path outside',
      () => client.sign({ ...release, files: [...release.files, { path: '../x', sha256: 'a'.repeat(64), bytes: 1 }] }),
    ],
    [
      'names an absolute path',
      () =>
        client.sign({ ...release, files: [...release.files, { path: '/etc/x', sha256: 'a'.repeat(64), bytes: 1 }] }),
    ],
    ['names a path twice', () => client.sign({ ...release, files: [...release.files, release.files[0]!] })],
    [
      'has no model.json',
      () => client.sign({ ...release, files: release.files.filter(({ path }) => path !== 'model.json') }),
    ],
    [
      'is larger than any board',
      () =>
        client.sign({ ...release, files: [...release.files, { path: 'x', sha256: 'a'.repeat(64), bytes: 2 ** 30 }] }),
    ],
  ])('is refused when its release %s', async (_, jws) => {
    expect(await codeOf(await client.offer(jws()))).toEqual([400, 'malformed'])
  })

  it('is refused when its release is longer than any can be', async () => {
    expect((await client.offer('a'.repeat(70_000))).status).toBe(413)
  })

  it('has its files taken only once a release names them, with the very bytes', async () => {
    const file = release.files.find(({ path }) => path === 'model.json')!
    const bytes = new Uint8Array(await readFile(join(folder, 'model.json')))
    expect(await codeOf(await client.put(file.sha256, bytes))).toEqual([409, 'not-expected'])
    const offered = await client.offer(client.sign(release))
    expect(offered.status).toBe(202)
    // What the shipped version has is here already.
    expect((await json<{ missing: { path: string }[] }>(offered)).missing.map(({ path }) => path)).toEqual([
      'model.json',
    ])
    const before = await blobs()
    const changed = bytes.map((byte, at) => (at === 5 ? byte ^ 1 : byte))
    for (const wrong of [changed, bytes.subarray(1), new Uint8Array([...bytes, 32]), new Uint8Array()])
      expect(await codeOf(await client.put(file.sha256, new Uint8Array(wrong)))).toEqual([400, 'wrong-bytes'])
    const short = await client.put(file.sha256, new Uint8Array(bytes.subarray(1)))
    expect(await short.text()).toContain(`ended after ${bytes.byteLength - 1} of ${bytes.byteLength} bytes`)
    expect(await blobs()).toEqual(before)
    expect(await readdir(join(here.data, 'registry', 'incoming'))).toEqual([])
    for (const digest of ['..%2f..%2fkeys%2fconsole.token', 'A'.repeat(64), 'a'.repeat(63)])
      expect((await client.put(digest, bytes)).status).toBe(400)
  })

  it('is published once all of it is there, and again without a change', async () => {
    const { response, handedIn } = await client.publish(folder)
    expect([response.status, handedIn]).toEqual([201, 1])
    expect(await json<ReleaseView>(response)).toMatchObject({
      model: 'fashion',
      version: '1.1.0',
      publisher: 'fabrik',
      trusted: true,
      sha256: here.catalog.resolve('fashion')?.sha256,
      determinism: 'exact',
    })
    // Signed anew, at another time: another release of the same files changes nothing.
    const again = await client.publish(folder, (same) => ({ ...same, at: '2026-11-23T00:00:00.000Z' }))
    expect([again.response.status, again.handedIn]).toEqual([200, 0])
  })

  it('cannot take the place of a version that is there, whoever signs', async () => {
    const other = await makePackage('fashion', '1.1.0')
    await writeFile(join(other, 'LICENSE'), 'another text')
    expect(await codeOf((await client.publish(other)).response)).toEqual([409, 'version-taken'])
    const shipped = join(here.catalog.resolve('fashion')!.folder)
    expect(await codeOf((await client.publish(shipped)).response)).toEqual([409, 'version-taken'])
  })

  const spoiled: [string, RegExp, (at: string) => Promise<void>][] = [
    ['a manifest that is none', /model\.json cannot be used here/, (at) => edit(at, { task: 'guessing' })],
    ['a manifest of another version', /model\.json says fashion@9\.9\.9/, (at) => edit(at, { version: '9.9.9' })],
    [
      'a model file that the manifest does not mean',
      /digest or size that is not signed/,
      (at) => writeFile(join(at, 'model.onnx'), 'other'),
    ],
    [
      'labels that do not fit',
      /labels/,
      (at) => spoil(at, 'labels.json', '["one"]', (m, ref) => Object.assign(m['labels'] as object, { file: ref })),
    ],
    // ModelProto.graph.initializer.data_location = EXTERNAL
    [
      'tensors in other files',
      /keeps tensors in other files/,
      (at) => spoil(at, 'model.onnx', Buffer.from('3a042a027001', 'hex'), (m, ref) => Object.assign(m, { file: ref })),
    ],
    [
      'something else than ONNX',
      /no ONNX model/,
      (at) => spoil(at, 'model.onnx', 'not a model', (m, ref) => Object.assign(m, { file: ref })),
    ],
  ]
  const manifestOf = async (at: string) =>
    JSON.parse(await readFile(join(at, 'model.json'), 'utf8')) as Record<string, unknown>
  const edit = async (at: string, by: Record<string, unknown>) =>
    writeFile(join(at, 'model.json'), JSON.stringify({ ...(await manifestOf(at)), ...by }))
  async function spoil(
    at: string,
    path: string,
    bytes: string | Buffer,
    name: (manifest: Record<string, unknown>, ref: object) => void,
  ) {
    const manifest = await manifestOf(at)
    const content = Buffer.from(bytes)
    name(manifest, { path, sha256: sha256(content), bytes: content.byteLength })
    await writeFile(join(at, path), content)
    await writeFile(join(at, 'model.json'), JSON.stringify(manifest))
  }

  it.each(spoiled)('is checked as a board would: %s', async (_, message, change) => {
    const at = await makePackage('fashion', '2.0.0')
    const signed = await releaseIn(at, publisher.id)
    await change(at)
    const { filesOf } = await import('../../console/registry/folder.ts')
    const files = await filesOf(at)
    const jws = client.sign({ ...signed, files })
    await client.offer(jws)
    for (const file of files) await client.put(file.sha256, new Uint8Array(await readFile(join(at, file.path))))
    const refused = await client.offer(jws)
    expect(refused.status).toBe(400)
    expect((await json<{ error: { message: string } }>(refused)).error.message).toMatch(message)
    expect((await models('fashion')).versions.map(({ version }) => version)).not.toContain('2.0.0')
  })

  it('gets a price when the pool has none for it, with the royalty for its publisher', async () => {
    const at = await makePackage('fashion', '1.0.0')
    await edit(at, { id: 'garments' })
    expect((await client.publish(at)).response.status).toBe(201)
    expect(here.trades.prices.of('garments')).toEqual({ model: 'garments', units: 50n, publisher: 'fabrik' })
    expect(here.trades.prices.of('fashion')?.publisher).toBe('bramble')
    expect(here.trades.packages.digestOf('garments@1.0.0')).toBe(here.catalog.resolve('fashion')?.sha256)
    expect(here.trades.packages.digestOf('garments@7.0.0')).toBeUndefined()
  })
})

describe('what boards should serve', () => {
  const nudges: string[] = []
  const set = (version: string | null, device?: string) =>
    send('PUT', device === undefined ? '/api/fleet/desired' : `/api/devices/${device}/desired`, {
      model: 'fashion',
      version,
    })
  const wanted = async (device = board.id) => Desired.parse(await json(desiredOf(device)))
  const nudged = (count: number) => until(() => nudges.length === count || undefined, `${count} nudges`)

  beforeAll(() => {
    board.link.onMessage((text, payload) => {
      const topic = parseTopic(text)
      if (topic?.kind !== 'command' || topic.name !== 'converge') return
      expect(CommandMessage.parse(JSON.parse(payload.toString())).expiresAt).toBeGreaterThan(Date.now())
      nudges.push(topic.id)
    })
    expect(filters.deviceInput(board.id).join()).toContain('/cmd/#')
  })

  it('is nothing in particular at first', async () => {
    expect(await wanted()).not.toHaveProperty('models')
    expect(await json<DesiredState>(here.call('/api/fleet/desired'))).toEqual({ models: [] })
    expect((await models('fashion')).sentence).toBe(
      'No version is set; boards serve what is in their own folders: 1.0.0 on 1 board.',
    )
    const back = await send('POST', '/api/fleet/desired/rollback', { model: 'fashion' })
    expect(await codeOf(back)).toEqual([409, 'nothing-before'])
  })

  it('is told to the board at once, and only a change has another ETag', async () => {
    const before = await desiredOf(board.id)
    const etag = before.headers.get('etag')!
    expect((await desiredOf(board.id, { 'if-none-match': etag })).status).toBe(304)
    const change = await json<DesiredChange>(set('1.1.0'))
    expect(change).toEqual({ model: 'fashion', before: null, after: '1.1.0' })
    await nudged(1)
    const after = await desiredOf(board.id, { 'if-none-match': etag })
    expect(after.status).toBe(200)
    const desired = Desired.parse(await json(after))
    expect(desired.revision).toBeGreaterThan(Desired.parse(await json(before)).revision)
    expect(desired.models).toEqual([
      { id: 'fashion', version: '1.1.0', release: expect.stringMatching(/^[0-9a-f]{64}$/) },
    ])
    expect((await models('fashion')).sentence).toBe('0 of 1 board serves 1.1.0, 1 has not begun.')
  })

  it('is no news when it is said twice', async () => {
    const { revision } = await wanted()
    expect(await json<DesiredChange>(set('1.1.0'))).toEqual({ model: 'fashion', before: '1.1.0', after: '1.1.0' })
    expect((await wanted()).revision).toBe(revision)
  })

  it('can only be what is here, for a board that is known, by the operator', async () => {
    expect(await codeOf(await set('7.7.7'))).toEqual([404, 'unknown-release'])
    expect(await codeOf(await set('1.1.0', 'dev-nobody'))).toEqual([404, 'unknown-device'])
    expect((await here.call('/api/devices/dev-nobody/desired')).status).toBe(404)
    expect((await send('PUT', '/api/fleet/desired', { model: 'fashion' })).status).toBe(400)
    expect((await here.call('/api/fleet/desired', {}, here.seeded.apiKey)).status).toBe(403)
  })

  it('differs for a board that has an opinion of its own, and for nobody else', async () => {
    const other = await startTestBoard(here)
    const { revision } = await wanted(other.id)
    expect((await set('1.0.0', board.id)).status).toBe(200)
    expect((await wanted()).models).toMatchObject([{ version: '1.0.0' }])
    // The other board is not made to write a new revision to its card.
    expect(await wanted(other.id)).toMatchObject({ revision, models: [{ version: '1.1.0' }] })
    const state = await json<DesiredState>(here.call(`/api/devices/${board.id}/desired`))
    expect(state.models).toMatchObject([{ model: 'fashion', version: '1.0.0', by: 'board' }])
    expect((await models('fashion')).sentence).toBe(
      '0 of 1 board serves 1.1.0, 1 has not begun. 1 board pinned to 1.0.0.',
    )
    expect((await set(null, board.id)).status).toBe(200)
    expect((await wanted()).models).toMatchObject([{ version: '1.1.0' }])
    await other.say({ kind: 'status', device: other.id }, 'offline', true)
    await other.link.close()
    await nudged(3)
  })

  it('shows how far the boards are, and why one refuses', async () => {
    const info: InfoMessage = { ...here.trades.devices.get(board.id)!.info! }
    const say = async (packages: InfoMessage['packages'], sentence: string) => {
      await board.say({ kind: 'info', device: board.id }, { ...info, packages }, true)
      await until(async () => (await models('fashion')).sentence === sentence || undefined, sentence)
    }
    const fashion = { id: 'fashion', version: '1.1.0' }
    const rest = ', 1 cannot be reached'
    await say(
      [{ ...fashion, state: 'downloading', percent: 41.7 }],
      `0 of 2 boards serve 1.1.0, 1 is downloading (41 %)${rest}.`,
    )
    await say([{ ...fashion, state: 'proving' }], `0 of 2 boards serve 1.1.0, 1 is proving it${rest}.`)
    await say(
      [{ ...fashion, state: 'refused', reason: 'golden coat.png differs' }],
      `0 of 2 boards serve 1.1.0${rest}, 1 refused it: golden coat.png differs.`,
    )
    expect((await models('fashion')).places.find(({ device }) => device.id === board.id)).toMatchObject({
      serves: '1.0.0',
      wants: '1.1.0',
      state: 'refused',
      reason: 'golden coat.png differs',
    })
    const served = info.models.map((model) => (model.id === 'fashion' ? { ...model, version: '1.1.0' } : model))
    await board.say({ kind: 'info', device: board.id }, { ...info, models: served }, true)
    await until(
      async () => (await models('fashion')).sentence === `1 of 2 boards serve 1.1.0${rest}.` || undefined,
      'the board to serve it',
    )
  })

  it('goes back to what it was, and forward again', async () => {
    const back = () => json<DesiredChange>(send('POST', '/api/fleet/desired/rollback', { model: 'fashion' }))
    expect(await back()).toEqual({ model: 'fashion', before: '1.1.0', after: null })
    expect(await wanted()).not.toHaveProperty('models')
    expect(await back()).toEqual({ model: 'fashion', before: null, after: '1.1.0' })
    await set('1.0.0')
    expect((await models('fashion')).before).toEqual({ version: '1.1.0' })
    expect(await back()).toEqual({ model: 'fashion', before: '1.0.0', after: '1.1.0' })
  })

  it('ends with the trust in its publisher', async () => {
    const { revision } = await wanted()
    expect((await here.call('/api/publishers/fabrik', { method: 'DELETE' })).status).toBe(204)
    const desired = await wanted()
    expect(desired).not.toHaveProperty('models')
    expect(desired.publishers.map(({ id }) => id)).toEqual(['operator'])
    expect(desired.revision).toBeGreaterThan(revision)
    expect(await codeOf(await set('1.1.0'))).toEqual([409, 'unknown-publisher'])
    expect(await codeOf(await client.offer(client.sign({ ...release, version: '1.2.0' })))).toEqual([
      409,
      'unknown-publisher',
    ])
    expect(await codeOf(await client.trust())).toEqual([409, 'publisher-taken'])
    expect(await codeOf(await here.call('/api/publishers/operator', { method: 'DELETE' }))).toEqual([
      409,
      'publisher-taken',
    ])
    expect((await models('fashion')).versions.find(({ version }) => version === '1.1.0')?.release?.trusted).toBe(false)
  })
})
