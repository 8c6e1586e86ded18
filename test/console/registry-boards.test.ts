import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { consoleGrants } from '../../broker/protocol/credentials.ts'
import { Desired, digestOfRelease, PACKAGE_PATHS, verifyRelease } from '../../broker/protocol/packages.ts'
import type { ReleaseView } from '../../console/routes/shapes.ts'
import { credentialOf, sha256 } from './registry-rig.ts'
import { startTestBoard, startTestConsole, type TestBoard, type TestConsole, until } from './running-console.ts'

let here: TestConsole
let board: TestBoard
let credential: string
let releases: ReleaseView[]

const releasesNow = async () => (await (await here.call('/api/releases')).json()) as ReleaseView[]
const ask = (path: string, headers: Record<string, string> = {}, token = credential, method = 'GET') =>
  here.call(path, { method, headers }, token)

beforeAll(async () => {
  here = await startTestConsole()
  board = await startTestBoard(here)
  credential = await credentialOf(here, board.id)
  releases = await until(async () => {
    const all = await releasesNow()
    return all.length === here.catalog.list().length ? all : undefined
  }, "the folder's packages")
})
afterAll(async () => {
  await board.link.close()
  await here.close()
})

describe("the console's own models folder", () => {
  it('is signed by a publisher of its own, whose key nobody else may read', async () => {
    expect(new Set(releases.map(({ publisher }) => publisher))).toEqual(new Set(['operator']))
    expect((await stat(join(here.data, 'keys', 'publisher.pem'))).mode & 0o777).toBe(0o600)
  })

  it('lies in the data folder by digest, for its owner alone', async () => {
    const folder = join(here.data, 'registry', 'blobs')
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    for (const name of await readdir(folder)) {
      expect(sha256(await readFile(join(folder, name)))).toBe(name)
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
    }
    expect(await readdir(join(here.data, 'registry', 'incoming'))).toEqual([])
  })

  it('is a package a board can put together from what it is served', async () => {
    const [first] = releases
    const jws = await (await ask(PACKAGE_PATHS.release(first!.digest))).text()
    expect(digestOfRelease(jws)).toBe(first!.digest)
    const desired = Desired.parse(await (await ask(PACKAGE_PATHS.desired)).json())
    const verified = verifyRelease(jws, (id) => desired.publishers.find((one) => one.id === id)?.key)
    if (!verified.ok) throw new Error(verified.reason)
    for (const file of verified.release.files) {
      const bytes = Buffer.from(await (await ask(PACKAGE_PATHS.blob(file.sha256))).arrayBuffer())
      expect([bytes.byteLength, sha256(bytes)]).toEqual([file.bytes, file.sha256])
    }
    const paths = verified.release.files.map(({ path }) => path)
    expect(paths).toEqual(expect.arrayContaining(['LICENSE', 'model.json', 'model.onnx']))
  })
})

describe('a file', () => {
  const whole = (): Buffer<ArrayBufferLike> => model
  let model: Buffer<ArrayBufferLike>
  let path: string
  let etag: string
  beforeAll(async () => {
    const pkg = here.catalog.resolve('fashion')!
    model = await readFile(pkg.file)
    path = PACKAGE_PATHS.blob(pkg.sha256)
    etag = `"${pkg.sha256}"`
  })

  it('comes whole, with what a cache needs to keep it for ever', async () => {
    const response = await ask(path)
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'accept-ranges': 'bytes',
      'cache-control': 'private, max-age=31536000, immutable',
      'content-length': String(whole().byteLength),
      'content-type': 'application/octet-stream',
      etag,
    })
    expect(Buffer.from(await response.arrayBuffer()).equals(whole())).toBe(true)
  })

  it.each([
    ['the beginning', 'bytes=0-99', 0, 100],
    ['the rest after what came', 'bytes=30000-', 30_000, Infinity],
    ['the last bytes', 'bytes=-500', -500, Infinity],
    ['more than there is', 'bytes=37000-99999999', 37_000, Infinity],
    ['a suffix longer than the file', 'bytes=-99999999', 0, Infinity],
    ['one byte', 'bytes=5-5', 5, 6],
  ])('comes in pieces: %s', async (_, range, from, to) => {
    const expected = whole().subarray(from, to)
    const response = await ask(path, { range })
    expect(response.status).toBe(206)
    const first = from < 0 ? whole().byteLength + from : from
    expect(response.headers.get('content-range')).toBe(
      `bytes ${first}-${first + expected.byteLength - 1}/${whole().byteLength}`,
    )
    expect(response.headers.get('content-length')).toBe(String(expected.byteLength))
    expect(Buffer.from(await response.arrayBuffer()).equals(expected)).toBe(true)
  })

  it.each([
    ['behind the end', 'bytes=99999999-'],
    ['a suffix of nothing', 'bytes=-0'],
  ])('refuses %s, and says how long it is', async (_, range) => {
    const response = await ask(path, { range })
    expect(response.status).toBe(416)
    expect(response.headers.get('content-range')).toBe(`bytes */${whole().byteLength}`)
  })

  it.each(['bytes=9-5', 'bytes=', 'bytes=a-b', 'items=0-5', 'bytes=0-1,5-6', 'bytes=--5', 'bytes=0x1-', '0-5'])(
    'comes whole where the range %s means nothing',
    async (range) => {
      const response = await ask(path, { range })
      expect(response.status).toBe(200)
      expect((await response.arrayBuffer()).byteLength).toBe(whole().byteLength)
    },
  )

  it('goes on only from the same bytes', async () => {
    const range = 'bytes=100-'
    expect((await ask(path, { range, 'if-range': etag })).status).toBe(206)
    for (const other of ['"other"', `W/${etag}`, 'Sun, 22 Nov 2026 00:00:00 GMT'])
      expect((await ask(path, { range, 'if-range': other })).status).toBe(200)
    expect((await ask(path, { 'if-none-match': etag, range })).status).toBe(304)
    expect((await ask(path, { 'if-none-match': `"x", W/${etag}` })).status).toBe(304)
    expect((await ask(path, { 'if-match': '"other"' })).status).toBe(412)
  })

  it('can be asked about without being sent', async () => {
    const response = await ask(path, { range: 'bytes=0-9' }, credential, 'HEAD')
    expect(response.status).toBe(200)
    expect(response.headers.get('content-length')).toBe(String(whole().byteLength))
    expect((await response.arrayBuffer()).byteLength).toBe(0)
  })

  it('ends the oldest download of a board that has four under way already: it may have vanished in the middle', async () => {
    const large = here.catalog.resolve('mobilenet-v1')!
    const { hostname, port } = new URL(here.url)
    const sockets = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const socket = connect(Number(port), hostname)
        const head = `GET ${PACKAGE_PATHS.blob(large.sha256)} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${credential}\r\n\r\n`
        socket.write(head)
        const answer = await new Promise<string>((resolve) => socket.once('data', (bytes) => resolve(String(bytes))))
        socket.pause()
        return { socket, answer }
      }),
    )
    expect(sockets.map(({ answer }) => answer.slice(9, 12))).toEqual(['200', '200', '200', '200'])
    const ended = Promise.race(sockets.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve))))
    const fifth = await ask(PACKAGE_PATHS.blob(large.sha256))
    expect([fifth.status, sha256(Buffer.from(await fifth.arrayBuffer()))]).toEqual([200, large.sha256])
    for (const { socket } of sockets) socket.on('error', () => {}).resume()
    await ended
    for (const { socket } of sockets) socket.destroy()
  })

  it('is not handed out when it is damaged on the disk', async () => {
    const pkg = here.catalog.resolve('silero-vad')!
    const file = join(here.data, 'registry', 'blobs', pkg.sha256)
    const bytes = await readFile(file)
    await truncate(file, 10)
    expect((await ask(PACKAGE_PATHS.blob(pkg.sha256))).status).toBe(404)
    await writeFile(file, bytes)
    expect((await ask(PACKAGE_PATHS.blob(pkg.sha256))).status).toBe(200)
  })
})

describe('what no board may have', () => {
  it.each([
    ['a file outside the registry', '/boards/blobs/..%2f..%2fkeys%2fconsole.token'],
    ['a folder above', '/boards/blobs/%2e%2e%2f%2e%2e'],
    ['a file by its path', '/boards/blobs/%2fetc%2fpasswd'],
    ['a name with a zero byte', `/boards/blobs/${'a'.repeat(63)}%00`],
    ['a digest in capitals', `/boards/blobs/${'A'.repeat(64)}`],
    ['a digest that nobody named', `/boards/blobs/${'a'.repeat(64)}`],
    ['a release that is none', `/boards/releases/${'a'.repeat(64)}`],
    ['a release by its path', '/boards/releases/..%2fx'],
  ])('is %s', async (_, path) => {
    const response = await ask(path)
    expect(response.status).toBe(404)
    expect(await response.text()).not.toMatch(/root:|ENOENT/)
  })

  it('is a file that lies there but that no release names', async () => {
    const stray = Buffer.from('nobody signed this')
    await writeFile(join(here.data, 'registry', 'blobs', sha256(stray)), stray)
    expect((await ask(PACKAGE_PATHS.blob(sha256(stray)))).status).toBe(404)
  })
})

describe('who may ask as a board', () => {
  const tokens: [string, () => Promise<string> | string][] = [
    ['no token', () => ''],
    ["the operator's token", () => here.keys.token],
    ["a requester's API key", () => here.seeded.apiKey],
    ['a credential of another console', async () => (await foreign()).jwt],
    ['a credential of a board that was never enrolled', () => credentialOf(here, `dev-${'a'.repeat(16)}`)],
    ['a credential that has ended', () => credentialOf(here, board.id, -1_000)],
    ["the console's own credential", async () => (await issue('console', board.id)).jwt],
    ["a requester's credential in a board's name", async () => (await issue('requester', board.id)).jwt],
    ['a credential whose name was exchanged', () => renamed(`dev-${'b'.repeat(16)}`)],
    ['a credential without a signature', () => `${credential.split('.').slice(0, 2).join('.')}.`],
    ['a credential whose algorithm is none', () => unsigned()],
    ['something very long', () => `${'a'.repeat(4_500)}.${'a'.repeat(4_500)}.a`],
  ]
  const issue = (role: 'console' | 'requester', sub: string) =>
    here.trades.issuer.issue({ sub, role, acl: consoleGrants() }, 60_000)
  const foreign = async () => {
    const { createIssuer } = await import('../../broker/jwt.ts')
    const { generateKeyPairSync } = await import('node:crypto')
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    return createIssuer({ privateKey, now: Date.now }).issue({ sub: board.id, role: 'device', acl: [] }, 60_000)
  }
  const renamed = (sub: string): string => {
    const [head, body = '', signature] = credential.split('.')
    const claims = { ...JSON.parse(Buffer.from(body, 'base64url').toString()), sub }
    return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
  }
  const unsigned = (): string => {
    const [, body] = credential.split('.')
    return `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${body}.aa`
  }

  it.each(tokens)('is not who brings %s', async (_, token) => {
    const pkg = here.catalog.resolve('fashion')!
    for (const path of [
      PACKAGE_PATHS.desired,
      PACKAGE_PATHS.release(releases[0]!.digest),
      PACKAGE_PATHS.blob(pkg.sha256),
    ]) {
      const response = await ask(path, {}, await token())
      expect(response.status).toBe(401)
      expect(await response.text()).not.toContain('publishers')
    }
  })

  it('is not the operator of anything: a credential opens nothing under /api', async () => {
    for (const path of ['/api/releases', '/api/models', '/api/fleet/desired', '/api/publishers'])
      expect((await ask(path)).status).toBe(401)
    const put = await here.call(`/api/blobs/${'a'.repeat(64)}`, { method: 'PUT', body: 'x' }, credential)
    expect(put.status).toBe(401)
  })

  it("is not the operator with a requester's API key either", async () => {
    const asked: [string, string][] = [
      ['GET', '/api/releases'],
      ['POST', '/api/releases'],
      ['PUT', `/api/blobs/${'a'.repeat(64)}`],
      ['POST', '/api/publishers'],
      ['DELETE', '/api/publishers/operator'],
      ['PUT', '/api/fleet/desired'],
      ['POST', '/api/fleet/desired/rollback'],
      ['PUT', `/api/devices/${board.id}/desired`],
    ]
    for (const [method, path] of asked)
      expect((await ask(path, {}, here.seeded.apiKey, method)).status, `${method} ${path}`).toBe(403)
  })
})
