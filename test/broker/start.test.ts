import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createIssuer } from '../../broker/jwt.ts'
import { deviceGrants } from '../../broker/protocol/credentials.ts'
import { run, start } from './programs.ts'
import { openClient } from './rig.ts'

const MAIN = fileURLToPath(new URL('../../broker/main.ts', import.meta.url))
const LAUNCH = new URL('../../broker/launch.js', import.meta.url)

/** A Node of the system that is too old, if this machine has one. */
const OLD_NODE = ['/usr/bin/node', '/usr/local/bin/node'].find((node) => {
  try {
    return Number(execFileSync(node, ['-p', 'process.versions.node.split(".")[0]']).toString()) < 22
  } catch {
    return false
  }
})

/** A bin file as the package has them, in front of a TypeScript program that says who runs it. */
async function entry(launch: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-launch-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(
    join(folder, 'main.ts'),
    `const arguments_: readonly string[] = process.argv.slice(2)
     process.on('SIGTERM', () => { console.log('stopped'); process.exit(5) })
     console.log(process.versions.node.split('.')[0], ...arguments_)
     for (const flag of process.execArgv) console.log(flag)
     if (arguments_[0] === 'stay') setInterval(() => undefined, 1_000)
     else process.exitCode = 3`,
  )
  await writeFile(
    join(folder, 'bin.js'),
    `import { launch } from ${JSON.stringify(LAUNCH.href)}\nconst main = new URL('./main.ts', import.meta.url)\n${launch}`,
  )
  return join(folder, 'bin.js')
}

describe('the launcher', () => {
  it('runs the program in the same process when its Node is new enough', async () => {
    const ended = await run(process.execPath, [await entry('await launch(main)'), 'a', '-b'])
    expect(ended).toMatchObject({ code: 3, stderr: '' })
    expect(ended.stdout.toString()).toMatch(/^2\d a -b\n$/)
  })

  it('gives V8 the flags that it reads only at its start, and keeps the process', async () => {
    const bin = await entry(`console.log(process.pid)\nawait launch(main, { flags: ['--stack-size=600'] })`)
    const running = start(process.execPath, [bin, 'a'])
    const { code, stdout, stderr } = await running.ended
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' })
    expect(stdout.toString()).toMatch(new RegExp(`^${running.child.pid}\\n2\\d a\\n--stack-size=600\\n$`))
  })

  it('takes the Node that npm brought when its own is too old, and passes signals and the exit code on', async () => {
    const node = process.execPath
    const bin = await entry(`await launch(main, { version: '20.20.2', node: ${JSON.stringify(node)} })`)
    expect(await run(node, [bin])).toMatchObject({ code: 3 })
    const running = start(node, [bin, 'stay'])
    await once(running.child.stdout!, 'data')
    running.child.kill('SIGTERM')
    const ended = await running.ended
    expect(ended.code).toBe(5)
    expect(ended.stdout.toString()).toContain('stopped')
  })

  it('says in one sentence what to do when there is no other Node', async () => {
    const ended = await run(process.execPath, [
      await entry(`await launch(main, { version: '20.20.2', node: '/nonexistent/node' })`),
    ])
    expect(ended.code).toBe(2)
    expect(ended.stderr).toBe(
      'Bramble needs Node 22.18 or newer and this is 20.20.2: install a newer Node, or run `npm ci` here, which brings one.\n',
    )
  })

  it('works under the old Node of this machine', async (context) => {
    context.skip(OLD_NODE === undefined, 'skipped: this machine has no old Node')
    const ended = await run(OLD_NODE ?? '', [await entry('await launch(main)'), 'x'])
    expect(ended.stderr).toBe('')
    expect(ended.stdout.toString()).toMatch(/^2[2-9] x\n$/)
    expect(ended.code).toBe(3)
  })

  it.each([
    ['20.20.2', false],
    ['22.17.9', false],
    ['22.18.0', true],
    ['24.0.0', true],
  ])('Node %s is new enough: %s', async (version, enough) => {
    const { isNodeNewEnough } = (await import(pathToFileURL(fileURLToPath(LAUNCH)).href)) as {
      isNodeNewEnough: (version: string) => boolean
    }
    expect(isNodeNewEnough(version)).toBe(enough)
  })
})

describe('bramble broker', () => {
  async function openConsole() {
    const issuer = createIssuer({
      privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
      now: Date.now,
    })
    const server = createServer((_, response) => response.end(JSON.stringify(issuer.jwks()))).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    return { issuer, url: `http://127.0.0.1:${(server.address() as { port: number }).port}` }
  }

  it('lets in who the console signed for, stops on SIGTERM, and says what went on', async () => {
    const { issuer, url } = await openConsole()
    const { child, ended } = start(process.execPath, [MAIN, '--port', '0', '--ws', '0', '--console', url])
    const [line] = (await once(child.stdout!, 'data')) as [Buffer]
    const opened = JSON.parse(line.toString()) as { url: string; wsUrl: string }
    const { jwt } = await issuer.issue({ sub: 'dev-a', role: 'device', acl: deviceGrants('dev-a') }, 60_000)
    for (const address of [opened.url, opened.wsUrl]) {
      const device = await openClient(address, 'dev-a', { password: jwt })
      await device.publishAsync('bramble/1/d/dev-a/status', 'online', { qos: 1 })
      await expect(openClient(address, 'dev-b', { password: jwt })).rejects.toMatchObject({ code: 4 })
    }
    child.kill('SIGTERM')
    const { code, stdout } = await ended
    expect(code).toBe(0)
    expect(stdout.toString()).toContain('"bad-credential":2')
  })

  it('says in one sentence each what is wrong, with exit code 2', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void taken.close())
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const busy = await run(process.execPath, [MAIN, '--port', `${port}`, '--console', 'http://127.0.0.1:1'])
    expect(busy).toMatchObject({ code: 2, stderr: expect.stringMatching(/^port \d+ on 127.0.0.1 is taken: .*\n$/) })
    const odd = await run(process.execPath, [MAIN, '--port', 'x', '--console', 'nowhere'])
    expect(odd).toMatchObject({
      code: 2,
      stderr: '--port: must be a port number\n--console: must be the http:// or https:// address of the console\n',
    })
    const mistyped = await run(process.execPath, [MAIN, '--prt', '1884', '--console', 'http://127.0.0.1:1'])
    expect(mistyped).toMatchObject({ code: 2, stderr: '--prt: there is no such option\n' })
  })
})
