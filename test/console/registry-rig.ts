// A publisher of the test, with packages that differ from the shipped ones by their version and one file.
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deviceGrants } from '../../broker/protocol/credentials.ts'
import { type Release, signRelease } from '../../broker/protocol/packages.ts'
import { releaseOf } from '../../console/registry/folder.ts'
import { rawKeyOf } from '../../console/registry/registry.ts'
import { readPackage } from '../../models/catalog.ts'
import { PACKAGE_ROOT, type TestConsole } from './running-console.ts'

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

export interface TestPublisher {
  readonly id: string
  readonly key: KeyObject
  readonly raw: string
}

export function makePublisher(id: string): TestPublisher {
  const { privateKey } = generateKeyPairSync('ed25519')
  return { id, key: privateKey, raw: rawKeyOf(privateKey) }
}

const made: string[] = []
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-registry-'))
  made.push(folder)
  return folder
}
export const removeFolders = (): Promise<unknown> =>
  Promise.all(made.splice(0).map((folder) => rm(folder, { recursive: true, force: true })))

/** A copy of a shipped package under another version. */
export async function makePackage(model: string, version: string): Promise<string> {
  const folder = join(await makeFolder(), model)
  await cp(join(PACKAGE_ROOT, 'models', model), folder, { recursive: true })
  const file = join(folder, 'model.json')
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), version }))
  return folder
}

export const releaseIn = async (folder: string, publisher: string): Promise<Release> =>
  releaseOf(await readPackage(folder), publisher, Date.parse('2026-11-22T00:00:00Z'))

/** Everything a publisher does, over HTTP. */
export function createPublisherClient(here: TestConsole, { id, key, raw }: TestPublisher) {
  const offer = (jws: string): Promise<Response> =>
    here.call('/api/releases', { method: 'POST', headers: { 'content-type': 'application/jose' }, body: jws })
  const put = (digest: string, body: Uint8Array<ArrayBuffer> | string): Promise<Response> =>
    here.call(`/api/blobs/${digest}`, { method: 'PUT', headers: { 'content-type': 'application/octet-stream' }, body })
  return {
    offer,
    put,
    sign: (release: Release): string => signRelease(release, key),
    trust: (): Promise<Response> =>
      here.call('/api/publishers', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id, key: raw }),
      }),
    /** Offers, hands in what is missing, offers again: the last answer, and how many files were handed in. */
    async publish(folder: string, change: (release: Release) => Release = (same) => same) {
      const release = change(await releaseIn(folder, id))
      const jws = signRelease(release, key)
      const first = await offer(jws)
      if (first.status !== 202) return { response: first, jws, release, handedIn: 0 }
      const { missing } = (await first.json()) as { missing: { path: string; sha256: string }[] }
      for (const file of missing) await put(file.sha256, new Uint8Array(await readFile(join(folder, file.path))))
      return { response: await offer(jws), jws, release, handedIn: missing.length }
    },
  }
}

/** A credential as enrolment gives it. */
export const credentialOf = async (here: TestConsole, device: string, ttlMs = 60_000): Promise<string> =>
  (await here.trades.issuer.issue({ sub: device, role: 'device', acl: deviceGrants(device) }, ttlMs)).jwt
