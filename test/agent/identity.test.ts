import { verify } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readCredential, writeCredential } from '../../agent/membership/credential.ts'
import { openIdentity } from '../../agent/membership/identity.ts'
import { openDataFolder } from '../../agent/private-file.ts'
import { deviceIdOf, publicKeyFromRaw } from '../../broker/protocol/credentials.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'identity-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const modeOf = (path: string): number => statSync(path).mode & 0o777

describe('the identity', () => {
  test('is made once, readable by its user only, and is the same afterwards', () => {
    const first = openIdentity(folder)
    expect(modeOf(join(folder, 'identity.key'))).toBe(0o600)
    expect(openIdentity(folder).device).toBe(first.device)
  })

  test('names the device after the key and proves it', () => {
    const { device, publicKey, prove } = openIdentity(folder)
    const raw = Buffer.from(publicKey, 'base64url')
    expect(device).toBe(deviceIdOf(raw))
    const proof = prove('bramble-enroll:abc')
    expect(proof).toHaveLength(86)
    expect(
      verify(null, Buffer.from('bramble-enroll:abc'), publicKeyFromRaw(raw), Buffer.from(proof, 'base64url')),
    ).toBe(true)
  })

  test.each([0o640, 0o604, 0o660])('is refused when others may read its key (mode %i)', (mode) => {
    openIdentity(folder)
    chmodSync(join(folder, 'identity.key'), mode)
    expect(() => openIdentity(folder)).toThrow(expect.objectContaining({ code: 'too-open' }))
    expect(() => openIdentity(folder)).toThrow(/chmod 600/)
  })

  test('is refused when its file holds something else', () => {
    writeFileSync(join(folder, 'identity.key'), 'hello', { mode: 0o600 })
    expect(() => openIdentity(folder)).toThrow(expect.objectContaining({ code: 'not-a-key' }))
  })
})

describe('the data folder', () => {
  test('is closed to others', () => {
    chmodSync(folder, 0o755)
    openDataFolder(folder)
    expect(modeOf(folder)).toBe(0o700)
  })

  test('is refused in one sentence when it cannot be made', () => {
    writeFileSync(join(folder, 'file'), '')
    expect(() => openDataFolder(join(folder, 'file', 'data'))).toThrow(/cannot be written.*--data/)
  })
})

describe('the credential', () => {
  const credential = {
    device: 'dev-x',
    name: 'calm-green-fox',
    credential: 'jwt',
    expiresAt: '2026-12-22T00:00:00.000Z',
    mqtt: { url: 'mqtt://127.0.0.1', root: 'bramble/1' },
    console: 'http://127.0.0.1',
    obtainedAt: '2026-11-22T00:00:00.000Z',
  }

  test('comes back as it was written, closed to others', () => {
    writeCredential(folder, credential)
    expect(modeOf(join(folder, 'credential.json'))).toBe(0o600)
    expect(readCredential(folder, 'dev-x')).toEqual(credential)
  })

  test('is refused when it belongs to another key, is damaged or is open to others', () => {
    writeCredential(folder, credential)
    expect(() => readCredential(folder, 'dev-y')).toThrow(expect.objectContaining({ code: 'other-key' }))
    chmodSync(join(folder, 'credential.json'), 0o644)
    expect(() => readCredential(folder, 'dev-x')).toThrow(expect.objectContaining({ code: 'too-open' }))
    writeFileSync(join(folder, 'credential.json'), '{"device":', { mode: 0o600 })
    chmodSync(join(folder, 'credential.json'), 0o600)
    expect(() => readCredential(folder, 'dev-x')).toThrow(expect.objectContaining({ code: 'damaged' }))
  })

  test('is absent before enrolment', () => {
    expect(readCredential(folder, 'dev-x')).toBeUndefined()
  })
})
