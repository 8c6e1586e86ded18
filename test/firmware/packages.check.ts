// Both packages as `npm run firmware:deb` makes them: size, contents, and a real inference with the files that a board would get.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ARCHITECTURES, nativeFiles } from '../../firmware-scripts/deb/elf.ts'
import { BUILD, packageFor } from './built.ts'
import { expectGolden, expectWrittenDigest, type Inferred, MODELS, manifestOf } from './goldens.ts'

const root = new URL('../..', import.meta.url).pathname
const MOST_BYTES = 75e6

let work: string
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'bramble-packages-'))
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

/** MIDR's part numbers and what these cores can do, as their /proc/cpuinfo says: ONNX Runtime's kernels are chosen by it. */
const CORES = {
  'cortex-a53': { part: '0xd03', features: 'fp asimd evtstrm crc32 cpuid' },
  'cortex-a72': { part: '0xd08', features: 'fp asimd evtstrm crc32 cpuid' },
  'cortex-a76': {
    part: '0xd0b',
    features: 'fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp',
  },
} as const
/** Shows the features of another, so it runs the same kernels: the first frame will do. */
const ALIKE: ReadonlySet<keyof typeof CORES> = new Set(['cortex-a72'])
const known = spawnSync('qemu-aarch64-static', ['-cpu', 'help'], { encoding: 'utf8' }).stdout ?? ''

/**
 * qemu-user shows its programs the CPU list of this machine, at which ONNX Runtime crashes: a private mount puts a board's in its
 * place. Children are started through a wrapper, because the kernel here need not know how to start arm64 programs.
 */
function inferOn(core: keyof typeof CORES, home: string, model: string, frame: string): Inferred {
  const { part, features } = CORES[core]
  const folder = join(work, core)
  mkdirSync(folder, { recursive: true })
  const at = (name: string): string => join(folder, name)
  writeFileSync(
    at('cpuinfo'),
    `processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: ${features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: ${part}\nCPU revision\t: 3\n\n`,
  )
  writeFileSync(
    at('node'),
    `#!/bin/sh\nexec qemu-aarch64-static -cpu ${core} -L /usr/aarch64-linux-gnu ${join(home, 'node')} "$@"\n`,
  )
  chmodSync(at('node'), 0o755)
  writeFileSync(at('preload.cjs'), `process.execPath = ${JSON.stringify(at('node'))}\n`)
  const args = ['infer', join('models', model, frame), '--model', model, '--json']
  const inside = `mount --make-rprivate / && mount --bind ${at('cpuinfo')} /proc/cpuinfo && exec "$0" "$@"`
  const { stdout, stderr } = spawnSync(
    'unshare',
    ['-m', 'sh', '-c', inside, at('node'), 'agent/main.js', ...args, '--threads', '1', '--run-limit-ms', '200000'],
    {
      cwd: home,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: folder, NODE_OPTIONS: `--require=${at('preload.cjs')}` },
    },
  )
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout)
}

describe.each(Object.keys(CORES) as (keyof typeof CORES)[])('the arm64 package on %s', (core) => {
  test('is run by an emulator that knows it', () => {
    expect(known).toContain(core)
  })

  test.each(MODELS)('gives %s its golden answers', (model) => {
    const home = join(work, 'arm64/usr/lib/bramble-agent')
    const manifest = manifestOf(home, model)
    const frames = ALIKE.has(core) ? manifest.golden.slice(0, 1) : manifest.golden
    for (const [index, { frame }] of frames.entries()) {
      const inferred = inferOn(core, home, model, frame.path)
      expectGolden(inferred, manifest, index)
      if (index === 0) expectWrittenDigest(core, model, inferred.digest)
    }
  })
})

test('the build folder is ignored by git', () => {
  expect(spawnSync('git', ['check-ignore', '-q', BUILD], { cwd: root }).status).toBe(0)
})
