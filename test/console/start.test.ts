import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockFolder } from '../../console/lock.ts'
import { openDatabase } from '../../console/store/open.ts'
import { PACKAGE_ROOT } from './running-console.ts'

interface Ended {
  readonly code: number | null
  readonly stderr: string
}

/** Runs `bramble` to its end; a start that succeeds against expectation is ended by the test's own time-out. */
function bramble(...args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [join(PACKAGE_ROOT, 'console/bramble.js'), ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8')
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stderr })))
}

const listen = async (): Promise<{ server: Server; port: number }> => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as AddressInfo).port }
}

describe('a start that cannot be', () => {
  let data: string
  let free: string[]
  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'bramble-start-'))
    free = ['--data', data, '--agents', '0', '--no-demo', '--log-level', 'silent']
  })
  afterEach(() => rm(data, { recursive: true, force: true }))

  const up = (...args: readonly string[]): Promise<Ended> => bramble('up', ...free, ...args)
  /** One sentence, exit code 2, no stack. */
  const expectRefusal = ({ code, stderr }: Ended, sentence: RegExp): void => {
    expect(stderr.trim()).toMatch(sentence)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(code).toBe(2)
  }

  it.each(['http', 'mqtt', 'chain'])('says which port is taken: --%s', async (name) => {
    const { server, port } = await listen()
    const ports = ['http', 'mqtt', 'chain'].flatMap((each) => [`--${each}`, each === name ? String(port) : '0'])
    expectRefusal(await up(...ports), new RegExp(`port ${port} .*(taken|in use)|:${port} .*taken`))
    await new Promise((resolve) => server.close(resolve))
  })

  const PORTS = ['--http', '0', '--mqtt', '0', '--chain', '0']

  it('says that the data folder cannot be written', async () => {
    const file = join(data, 'file')
    await writeFile(file, '')
    expectRefusal(await up('--data', join(file, 'folder'), ...PORTS), /^cannot write .*choose another with --data$/)
  })

  it('says who has the data folder', async () => {
    const release = await lockFolder(data)
    expectRefusal(await up(...PORTS), new RegExp(`is in use by process ${process.pid}: stop it`))
    await release()
  })

  it('says that the database is damaged', async () => {
    await writeFile(join(data, 'console.db'), 'this was a database once '.repeat(1000))
    expectRefusal(await up(...PORTS), /console\.db is damaged .*restore it from a backup/)
  })

  it('says that the chain is not the one this database paid on', async () => {
    const store = await openDatabase(join(data, 'console.db'))
    await store.db.insertInto('meta').values({ key: 'chain.genesis', value: 'another chain' }).execute()
    await store.close()
    expectRefusal(await up(...PORTS), /this database paid on the chain with genesis hash another chain/)
  })

  it('says that the token is not the one this database owes', async () => {
    const store = await openDatabase(join(data, 'console.db'))
    await store.db.insertInto('meta').values({ key: 'chain.mint', value: 'AnotherMint' }).execute()
    await store.close()
    expectRefusal(await up(...PORTS), /owes and pays tokens of the mint AnotherMint, but the mint of this start is/)
  })

  it('says that the wallet it is given cannot be paid', async () => {
    const program = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA'
    expectRefusal(await up(...PORTS, '--wallet', program), new RegExp(`^${program} cannot be paid: it is a program`))
    expectRefusal(
      await bramble('console', '--data', data, '--log-level', 'silent', ...PORTS, '--wallet', program),
      new RegExp(`^${program} cannot be paid: it is a program`),
    )
  })

  it('says that others can read a secret', async () => {
    await mkdir(join(data, 'keys'))
    await writeFile(join(data, 'keys', 'console.token'), 'secret', { mode: 0o644 })
    expectRefusal(await up(...PORTS), /console\.token has mode 0644 and others may read it; run: chmod 600 /)
  })

  it('says which model is missing or changed', async () => {
    const models = join(data, 'models')
    await cp(join(PACKAGE_ROOT, 'models/fashion'), join(models, 'fashion'), { recursive: true })
    const file = join(models, 'fashion/model.onnx')
    const bytes = await readFile(file)
    bytes[1000] = (bytes[1000] ?? 0) ^ 1
    await writeFile(file, bytes)
    expectRefusal(
      await up(...PORTS, '--models', models),
      /fashion\/model\.onnx has sha256 [0-9a-f]{64}, model\.json says/,
    )
    await rm(file)
    expectRefusal(
      await up(...PORTS, '--models', models),
      /fashion\/model\.onnx is named in model\.json but cannot be read/,
    )
  })

  it('tells all wrong options at once', async () => {
    const { code, stderr } = await up('--http', '99999', '--agents', 'many', '--colour', 'blue')
    expect(code).toBe(2)
    expect(stderr).toMatch(/--colour: there is no such option/)
    expect(stderr).toMatch(/--http 99999: /)
    expect(stderr).toMatch(/--agents many: must be a number/)
  })

  it('has nothing to check where there is no database', async () => {
    expectRefusal(await bramble('ledger', 'check', '--data', data), /^there is no database at /)
  })
})
