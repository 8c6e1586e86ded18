// A publisher, a console that serves its releases over real HTTP (and lies when told to), and boards that converge to them.
import { createHash, generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pino } from 'pino'
import type { Clock } from '../../agent/clock.ts'
import { createServing, type Serving } from '../../agent/frames/serving.ts'
import { OUTBOX_WRITES } from '../../agent/outbox/migrations.ts'
import type { Proof } from '../../agent/packages/judging.ts'
import { createPackages, type Packages, type PackagesOptions } from '../../agent/packages.ts'
import { archOf } from '../../agent/software/place.ts'
import type { PackageState, Runtime } from '../../broker/protocol/messages.ts'
import { type Desired, digestOfRelease, type Release, signRelease } from '../../broker/protocol/packages.ts'
import { type SoftwareRelease, signSoftware } from '../../broker/protocol/software.ts'
import { type ModelPackage, nameOf } from '../../models/catalog.ts'
import type { InferenceHost } from '../../models/runtime/host.ts'
import { createFakeClock } from './fake-clock.ts'

export const MODELS = new URL('../../models/', import.meta.url).pathname
export const TOKEN = 'the credential'
export const RUNTIME: Runtime = { ort: '1', provider: 'cpu', cpu: 'x64', decoder: 'none', flags: [] }

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')
const folders: string[] = []
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-packages-'))
  folders.push(folder)
  return folder
}
export async function removeFolders(): Promise<void> {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })))
}

export type Files = Map<string, Buffer>

async function filesIn(folder: string): Promise<Files> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return new Map(await Promise.all(paths.map(async (path) => [relative(folder, path), await readFile(path)] as const)))
}

// biome-ignore lint/suspicious/noExplicitAny: a manifest that a test bends as it likes
export type Bend = (manifest: any, files: Files) => void

/** The shipped package under another version, with `kiB` of new bytes in its model file that change nothing it computes. */
export async function version(id: string, name: string, kiB = 1, bend: Bend = () => {}): Promise<Files> {
  const files = await filesIn(join(MODELS, id))
  const manifest = JSON.parse(String(files.get('model.json')))
  const model = Buffer.concat([files.get('model.onnx')!, docString(`${name} ${'x'.repeat(kiB * 1024)}`)])
  files.set('model.onnx', model)
  manifest.version = name
  manifest.file = { ...manifest.file, sha256: sha256(model), bytes: model.byteLength }
  bend(manifest, files)
  files.set('model.json', Buffer.from(JSON.stringify(manifest)))
  return files
}

/** ModelProto.doc_string: field 6. */
const docString = (text: string): Buffer => lengthField(6, Buffer.from(text))
export function lengthField(number: number, body: Uint8Array): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(body.byteLength), body])
}
export function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest < 128 ? rest : (rest % 128) + 128)
    if (rest < 128) return Buffer.from(bytes)
  }
}

export function createPublisher(id = 'acme') {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64url')
  return {
    id,
    key,
    /** The signed release of these files. */
    sign(model: string, name: string, files: Files, bend: (release: Release) => void = () => {}): string {
      const list = [...files].map(([path, bytes]) => ({ path, sha256: sha256(bytes), bytes: bytes.byteLength }))
      const release: Release = { id: model, version: name, publisher: id, at: '2026-11-22T00:00:00Z', files: list }
      bend(release)
      return signRelease(release, privateKey)
    },
    /** The signed release of a version of the agent; `node` is a program. */
    signSoftware(name: string, files: Files, bend: (release: SoftwareRelease) => void = () => {}): string {
      const release: SoftwareRelease = {
        software: 'bramble-agent',
        version: name,
        arch: archOf(process.arch) ?? 'amd64',
        publisher: id,
        at: '2026-11-22T00:00:00Z',
        outbox: OUTBOX_WRITES,
        files: [...files].map(([path, bytes]) => ({
          path,
          sha256: sha256(bytes),
          bytes: bytes.byteLength,
          ...(path === 'node' && { run: true }),
        })),
      }
      bend(release)
      return signSoftware(release, privateKey)
    },
  }
}
export type Publisher = ReturnType<typeof createPublisher>

export type Answer = (request: IncomingMessage, response: ServerResponse, bytes: Buffer) => void

/** What a console answers to boards, with everything that was asked of it. */
export async function startConsole(publishers: readonly Publisher[] = []) {
  const releases = new Map<string, string>()
  const blobs = new Map<string, Buffer>()
  const asked: { path: string; range?: string }[] = []
  const lies = new Map<string, Answer>()
  let wish: Pick<Desired, 'models'> = {}
  let software: Desired['software']
  let revision = 1
  let skewMs = 0
  let trusted = publishers.map(({ id, key }) => ({ id, key }))

  function desired(response: ServerResponse, arch: string | null): void {
    const said: Desired = { revision, now: Date.UTC(2026, 10, 22) + skewMs, publishers: trusted, ...wish }
    const body = { ...said, ...(arch !== null && software && { software }) }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
  }

  const listener: RequestListener = (request, response) => {
    const { pathname: path, searchParams } = new URL(request.url ?? '', 'http://console')
    const { range } = request.headers
    asked.push({ path, ...(range !== undefined && { range }) })
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return void response.writeHead(401).end()
    const name = path.split('/').at(-1) ?? ''
    const release = releases.get(name)
    const bytes = release === undefined ? (blobs.get(name) ?? Buffer.alloc(0)) : Buffer.from(release)
    const lie = lies.get(name)
    if (lie) return lie(request, response, bytes)
    if (path === '/boards/desired') return desired(response, searchParams.get('arch'))
    if (bytes.byteLength === 0) return void response.writeHead(404).end()
    whole(request, response, bytes)
  }
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    listener,
    asked,
    /** Paths of blobs that were asked for. */
    fetched: () => asked.filter(({ path }) => path.startsWith('/boards/blobs/')).map(({ path }) => path.slice(14)),
    /** Stores a release and its files; returns what names it in a desired state. */
    offer(model: string, name: string, files: Files, jws: string) {
      for (const bytes of files.values()) blobs.set(sha256(bytes), bytes)
      releases.set(digestOfRelease(jws), jws)
      return { id: model, version: name, release: digestOfRelease(jws) }
    },
    want(...models: NonNullable<Desired['models']>) {
      wish = { models }
      revision += 1
    },
    /** As `offer`, of the agent itself. */
    offerSoftware(version: string, files: Files, jws: string): NonNullable<Desired['software']> {
      for (const bytes of files.values()) blobs.set(sha256(bytes), bytes)
      releases.set(digestOfRelease(jws), jws)
      return { version, release: digestOfRelease(jws) }
    },
    wantSoftware(wanted?: Desired['software']) {
      software = wanted
      revision += 1
    },
    /** No opinion. */
    rest() {
      wish = {}
      revision += 1
    },
    trust(...others: readonly Publisher[]) {
      trusted = others.map(({ id, key }) => ({ id, key }))
      revision += 1
    },
    shift(ms: number) {
      skewMs = ms
    },
    /** Answers for this digest (or `desired`) in its own way until told otherwise. */
    lie(name: string, answer?: Answer) {
      if (answer) lies.set(name, answer)
      else lies.delete(name)
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
export type Console = Awaited<ReturnType<typeof startConsole>>

/** As any web server does it. */
export const whole: Answer = (request, response, bytes) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  if (from === 0) return void response.writeHead(200, { 'content-length': bytes.byteLength }).end(bytes)
  if (from >= bytes.byteLength) return void response.writeHead(416).end()
  const range = `bytes ${from}-${bytes.byteLength - 1}/${bytes.byteLength}`
  response
    .writeHead(206, { 'content-range': range, 'content-length': bytes.byteLength - from })
    .end(bytes.subarray(from))
}

/** A host that takes everything, for tests of what lies around it. */
export function createPaperHost() {
  const loaded = new Map<string, ModelPackage>()
  return {
    loaded,
    load: async (pkg: ModelPackage) => void loaded.set(nameOf(pkg), pkg),
    unload: async (name: string) => void loaded.delete(name),
    runtime: async () => RUNTIME,
  }
}

export interface BoardOptions extends Partial<Omit<PackagesOptions, 'serving' | 'host' | 'clock'>> {
  readonly url: string
  readonly host?: Pick<InferenceHost, 'load' | 'unload' | 'runtime'>
  readonly clock?: Clock
}

/** The part of an agent that converges. `start` is what run.ts does. */
export function createBoard({ url, host = createPaperHost(), ...given }: BoardOptions & { data: string }) {
  const fake = createFakeClock()
  const log = given.log ?? pino({ level: 'silent' })
  const serving: Serving = createServing({ host, log })
  const stop = new AbortController()
  let listeners: (() => void)[] = []
  let running: Promise<void> | undefined
  const proven: string[] = []
  const packages: Packages = createPackages({
    console: { url, bearer: () => TOKEN },
    doubt: () => {},
    quotaBytes: 1 << 30,
    freeBytes: async () => 1 << 30,
    folder: [],
    prove: async (pkg): Promise<Proof> => {
      proven.push(nameOf(pkg))
      return { ok: true }
    },
    drained: async () => {},
    isBusy: () => false,
    version: '1.0.0',
    clock: fake.clock,
    random: () => 0.5,
    log,
    ...given,
    changed() {
      given.changed?.()
      for (const listener of [...listeners]) listener()
    },
    serving,
    host,
  })
  const versions = (): Record<string, string> =>
    Object.fromEntries(serving.served().map(({ manifest }) => [manifest.id, manifest.version]))
  return {
    packages,
    serving,
    versions,
    proven,
    ...fake,
    async start() {
      await packages.open()
      await packages.restore()
      running = packages.run(stop.signal)
    },
    /** Resolves once `is` holds: looked at whenever the board says that something changed. */
    until(is: (states: readonly PackageState[], versions: Record<string, string>) => boolean): Promise<void> {
      return new Promise((resolve) => {
        const look = (): void => {
          if (!is(packages.states(), versions())) return
          listeners = listeners.filter((other) => other !== look)
          resolve()
        }
        listeners.push(look)
        look()
      })
    },
    async stop() {
      stop.abort()
      await running
    },
  }
}
export type Board = ReturnType<typeof createBoard>

/** Every file below `folder` with its content's digest, hidden ones included. */
export async function treeOf(folder: string): Promise<Record<string, string>> {
  const files = await filesIn(folder)
  return Object.fromEntries([...files].map(([path, bytes]) => [path, sha256(bytes)]).sort())
}
