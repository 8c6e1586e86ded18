// Both packages as `npm run firmware:deb` makes them: size, contents, and a real inference with the files that a board would get.
import { execFileSync, spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ARCHITECTURES, nativeFiles } from '../../firmware-scripts/deb/elf.ts'
import { type LoneBoard, startLoneBoard } from '../bench/board.ts'
import { BUILD, buildPackage, packageFor } from './built.ts'
import { agentOn, CORES, type Core } from './cores.ts'
import { expectGolden, expectWrittenDigest, type Inferred, MODELS, manifestOf } from './goldens.ts'
import { giveWay } from './turns.ts'

const root = new URL('../..', import.meta.url).pathname
const MOST_BYTES = 75e6

let work: string
beforeAll(async () => {
  giveWay()
  work = mkdtempSync(join(tmpdir(), 'bramble-packages-'))
  await Promise.all(ARCHITECTURES.map(buildPackage))
  for (const architecture of ARCHITECTURES)
    execFileSync('dpkg-deb', ['-x', packageFor(architecture), join(work, architecture)])
})
afterAll(() => rmSync(work, { recursive: true }))

describe.each(ARCHITECTURES)('the package for %s', (architecture) => {
  const tree = (): string => join(work, architecture)
  const home = (): string => join(tree(), 'usr/lib/bramble-agent')
  const file = packageFor(architecture)

  test('is small enough for a slow connection', () => {
    expect(statSync(file).size).toBeLessThanOrEqual(MOST_BYTES)
  })

  test('holds native files of its own architecture only', () => {
    const natives = nativeFiles(tree())
    expect(natives.map(({ file: name }) => name.split('/').at(-1))).toContain('onnxruntime_binding.node')
    expect(natives.filter(({ machine }) => machine !== architecture)).toEqual([])
  })

  test('names nothing of the machine that built it', () => {
    const forbidden = [root, work, process.env['HOME'], hostname()].filter(
      (text) => text !== undefined && text.length > 5,
    )
    const files = globSync('**/*.{js,json,service,path,conf,env,toml}', {
      cwd: join(tree()),
      exclude: ['**/node_modules/**'],
    })
    expect(files.length).toBeGreaterThan(10)
    const found = files.filter((name) => {
      const text = readFileSync(join(tree(), name), 'utf8')
      return forbidden.some((word) => text.includes(String(word)))
    })
    expect(found).toEqual([])
    expect(execFileSync('dpkg-deb', ['--info', file], { encoding: 'utf8' })).not.toContain(root)
  })

  test('belongs to root, and its settings are conffiles', () => {
    const list = execFileSync('dpkg-deb', ['--contents', file], { encoding: 'utf8' })
    expect(list.split('\n').filter((line) => line !== '' && !line.includes(' root/root '))).toEqual([])
    const conffiles = execFileSync('dpkg-deb', ['--info', file, 'conffiles'], { encoding: 'utf8' })
    expect(conffiles).toBe('/etc/bramble-agent/agent.env\n')
  })

  test('brings every default model', () => {
    expect(
      globSync('*/model.json', { cwd: join(home(), 'models') })
        .map((name) => name.split('/')[0])
        .sort(),
    ).toEqual(MODELS)
  })
})

describe('the amd64 package', () => {
  test.each(MODELS)('gives %s its golden digests', (model) => {
    const home = join(work, 'amd64/usr/lib/bramble-agent')
    const manifest = manifestOf(home, model)
    for (const [index, { frame }] of manifest.golden.entries()) {
      const { stdout } = spawnSync(
        join(home, 'node'),
        ['agent/main.js', 'infer', join('models', model, frame.path), '--model', model, '--json'],
        { cwd: home, encoding: 'utf8', env: { HOME: work } },
      )
      const inferred = JSON.parse(stdout) as Inferred
      expect(inferred.digest, frame.path).toBe(manifest.golden[index]!.digest)
      if (index === 0) expectWrittenDigest('amd64', model, inferred.digest)
    }
  })
})

const known = spawnSync('qemu-aarch64-static', ['-cpu', 'help'], { encoding: 'utf8' }).stdout ?? ''

describe.each(Object.keys(CORES) as Core[])('the arm64 package on %s', (core) => {
  const home = (): string => join(work, 'arm64/usr/lib/bramble-agent')
  let board: LoneBoard
  beforeAll(async () => {
    board = await startLoneBoard(MODELS, join(work, `data-${core}`), agentOn(core, { work, home: home() }))
    await board.online
  })
  afterAll(() => board.close())

  test('is run by an emulator that knows it', () => {
    expect(known).toContain(core)
  })

  test.each(MODELS)('gives %s its golden answers', async (model) => {
    const manifest = manifestOf(home(), model)
    for (const [index, { frame }] of manifest.golden.entries()) {
      const inferred = await board.ask(model, readFileSync(join(home(), 'models', model, frame.path)))
      if ('error' in inferred)
        throw new Error(`${model} ${frame.path}: ${inferred.error.code} ${inferred.error.message}`)
      expectGolden(inferred, manifest, index)
      if (index === 0) expectWrittenDigest(core, model, inferred.digest)
    }
  })
})

test('the build folder is ignored by git', () => {
  expect(spawnSync('git', ['check-ignore', '-q', BUILD], { cwd: root }).status).toBe(0)
})
