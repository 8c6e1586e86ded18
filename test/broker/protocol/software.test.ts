import { createHash, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  Desired,
  digestOfRelease,
  InsidePath,
  type Release,
  signRelease,
  verifyRelease,
} from '../../../broker/protocol/packages.ts'
import {
  MAX_SOFTWARE_BYTES,
  SoftwarePath,
  SoftwareRelease,
  signSoftware,
  verifySoftware,
} from '../../../broker/protocol/software.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64url')
const other = generateKeyPairSync('ed25519')
const keyOf = (publisher: string) => (publisher === 'acme' ? key : undefined)

const file = (path: string, bytes = 10) => ({
  path,
  bytes,
  sha256: createHash('sha256').update(path).digest('hex'),
})
const release = (bend: Partial<SoftwareRelease> = {}): SoftwareRelease => ({
  software: 'bramble-agent',
  version: '1.2.3',
  arch: 'arm64',
  publisher: 'acme',
  at: '2026-11-23T00:00:00Z',
  outbox: 3,
  files: [file('agent/main.js'), { ...file('node'), run: true }, file('node_modules/@img/colour/empty', 0)],
  ...bend,
})
const reasonOf = (jws: string) => {
  const verified = verifySoftware(jws, keyOf)
  return verified.ok ? 'ok' : verified.reason
}

describe('a signed software release', () => {
  test('comes back as it was signed, under the digest of its text', () => {
    const jws = signSoftware(release(), privateKey)
    expect(verifySoftware(jws, keyOf)).toEqual({ ok: true, release: release(), digest: digestOfRelease(jws) })
  })

  test('of a stranger, or with a changed byte, is not believed', () => {
    const jws = signSoftware(release(), privateKey)
    const [header, body, signature] = jws.split('.')
    const forged = Buffer.from(JSON.stringify(release({ version: '1.2.4' }))).toString('base64url')
    expect(reasonOf(`${header}.${forged}.${signature}`)).toBe('bad-signature')
    expect(reasonOf(signSoftware(release(), other.privateKey))).toBe('bad-signature')
    expect(reasonOf(signSoftware(release({ publisher: 'evil' }), privateKey))).toBe('unknown-publisher')
    expect(reasonOf(`${header}.${body}`)).toBe('malformed')
    expect(reasonOf('what is this')).toBe('malformed')
  })

  test('never passes for a model, nor a model for software, whoever signed it', () => {
    const model: Release = {
      id: 'm',
      version: '1.0.0',
      publisher: 'acme',
      at: '2026-11-23T00:00:00Z',
      files: [file('model.json')],
    }
    expect(reasonOf(signRelease(model, privateKey))).toBe('malformed')
    expect(verifyRelease(signSoftware(release(), privateKey), keyOf)).toEqual({ ok: false, reason: 'malformed' })
    const both = { ...model, ...release(), files: [file('model.json'), file('agent/main.js')] }
    expect(reasonOf(signRelease(both as never, privateKey))).toBe('malformed')
    expect(verifyRelease(signSoftware(both as never, privateKey), keyOf).ok).toBe(false)
  })

  test.each<[string, Partial<SoftwareRelease>]>([
    ['a path twice', { files: [file('agent/main.js'), file('agent/main.js')] }],
    ['no program', { files: [file('node')] }],
    ['more bytes than a card has', { files: [file('agent/main.js', MAX_SOFTWARE_BYTES), file('node', 1)] }],
    ['a layout that is none', { outbox: 0 }],
    ['another architecture', { arch: 'riscv64' as never }],
    ['another program', { software: 'other' as never }],
    ['no version', { version: 'latest' }],
  ])('with %s is none', (_, bend) => {
    expect(reasonOf(signSoftware(release(bend), privateKey))).toBe('malformed')
    expect(SoftwareRelease.safeParse(release(bend)).success).toBe(false)
  })
})

test.each([
  ['node_modules/@img/colour/index.cjs', true],
  ['@scope/x', true],
  ['agent/main.js', true],
  ['../agent/main.js', false],
  ['agent/../../x', false],
  ['/etc/passwd', false],
  ['agent//main.js', false],
  ['.release', false],
  ['a/.hidden', false],
  ['a/@', false],
  ['a/@@b', false],
  ['a/@.b', false],
  ['a b', false],
  ['', false],
])('%j is a path inside a release: %j', (path, isPath) => {
  expect(SoftwarePath.safeParse(path).success).toBe(isPath)
})

test('a model package has no scopes', () => {
  expect(InsidePath.safeParse('node_modules/@img/x').success).toBe(false)
})

test('a desired state may name software, or have no opinion', () => {
  const desired = { revision: 1, now: 1, publishers: [] }
  const software = { version: '1.2.3', release: 'a'.repeat(64) }
  expect(Desired.parse(desired)).not.toHaveProperty('software')
  expect(Desired.parse({ ...desired, software })).toMatchObject({ software })
  expect(Desired.safeParse({ ...desired, software: { ...software, release: 'latest' } }).success).toBe(false)
})
