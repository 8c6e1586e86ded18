// Key files as the Solana CLI writes them, and the ones that are refused.
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Keypair } from '@solana/web3.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readKeyFile, readOrCreateKeyFile } from '../../console/settlement/keys.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bramble-keys-'))
})
afterAll(() => rm(folder, { recursive: true }))

const written = async (name: string, text: string, mode = 0o600): Promise<string> => {
  const file = join(folder, name)
  await writeFile(file, text)
  await chmod(file, mode)
  return file
}

describe('a key file', () => {
  it('of the Solana CLI is read, and means the same address to web3.js', async () => {
    const pair = Keypair.generate()
    const file = await written('cli.json', JSON.stringify([...pair.secretKey]))
    expect(await readKeyFile(file)).toEqual({
      address: pair.publicKey.toBase58(),
      secretKey: Uint8Array.from(pair.secretKey),
    })
  })

  it('is made when told, for its owner alone, and the same one is read ever after', async () => {
    const file = join(folder, 'deep', 'made.json')
    const key = await readOrCreateKeyFile(file)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(Keypair.fromSecretKey(key.secretKey).publicKey.toBase58()).toBe(key.address)
    expect(await readOrCreateKeyFile(file)).toEqual(key)
  })

  it.each([0o644, 0o640, 0o604, 0o660])('with mode %o is refused, with the command that mends it', async (mode) => {
    const file = await written(`mode-${mode}.json`, JSON.stringify([...Keypair.generate().secretKey]), mode)
    await expect(readKeyFile(file)).rejects.toMatchObject({
      code: 'bad-key-file',
      message: expect.stringContaining(`chmod 600 ${file}`),
    })
    await expect(readOrCreateKeyFile(file)).rejects.toMatchObject({ code: 'bad-key-file' })
  })

  it.each([
    ['text', 'not json'],
    ['a seed alone', JSON.stringify([...Keypair.generate().secretKey.slice(0, 32)])],
    ['bytes out of range', JSON.stringify([...Keypair.generate().secretKey.slice(0, 63), 256])],
    [
      'halves that do not belong together',
      JSON.stringify([...new Uint8Array(32), ...Keypair.generate().secretKey.slice(32)]),
    ],
  ])('that is %s is refused', async (name, text) => {
    const file = await written(`${name.replaceAll(' ', '-')}.json`, text)
    await expect(readKeyFile(file)).rejects.toMatchObject({ code: 'bad-key-file' })
  })

  it('that is missing is refused, not made, unless told', async () => {
    await expect(readKeyFile(join(folder, 'nowhere.json'))).rejects.toMatchObject({ code: 'bad-key-file' })
  })
})
