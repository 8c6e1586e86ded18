// The check of an ONNX Runtime built for a Jetson. No such build is at hand: what passes here are the arm64 files from npm under the
// names of a complete one, with the words that a binding with CUDA holds appended, and loader and Node played.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const root = new URL('../..', import.meta.url).pathname
const script = join(root, 'firmware-scripts/jetson/check.sh')
const npm = join(root, 'node_modules/onnxruntime-node')
const { version } = JSON.parse(readFileSync(join(npm, 'package.json'), 'utf8')) as { version: string }
const INSIDE = 'bin/napi-v6/linux/arm64'
const BINDING = 'onnxruntime_binding.node'
const LIBRARY = 'libonnxruntime.so.1'
const PROVIDERS = ['shared', 'cuda', 'tensorrt'].map((name) => `libonnxruntime_providers_${name}.so`)
const hasReadelf = spawnSync('readelf', ['--version']).error === undefined

let work: string
let folder: string
let programs: string

/** Never through a link: what it leads to belongs to others. */
function put(name: string, bytes: Uint8Array | string): void {
  rmSync(join(folder, name), { force: true })
  writeFileSync(join(folder, name), bytes)
}

/** A program of this name that the check meets first. */
function play(name: string, lines: string): void {
  writeFileSync(join(programs, name), `#!/bin/sh\n${lines}\n`, { mode: 0o755 })
}
const onJetson = (): void => {
  play('uname', 'echo aarch64')
  play('ldd', 'echo "	libc.so.6 => /lib/libc.so.6"')
  play('node', 'printf "cpu\\ncuda\\ntensorrt\\n"')
}

function check(...args: readonly string[]) {
  const env = { PATH: `${programs}:${process.env['PATH']}` }
  const { status, stdout, stderr } = spawnSync('bash', [script, ...args], { encoding: 'utf8', env })
  return { status, said: stdout + stderr }
}

beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'bramble-jetson-'))
  programs = join(work, 'programs')
  mkdirSync(programs)
  play('uname', 'echo x86_64')
  folder = join(work, INSIDE)
  mkdirSync(folder, { recursive: true })
  symlinkSync(join(npm, 'package.json'), join(work, 'package.json'))
  for (const name of [LIBRARY, ...PROVIDERS]) symlinkSync(join(npm, INSIDE, LIBRARY), join(folder, name))
  put(BINDING, Buffer.concat([readFileSync(join(npm, INSIDE, BINDING)), Buffer.from('\0cuda\0tensorrt\0')]))
})
afterEach(() => rmSync(work, { recursive: true }))

describe.skipIf(!hasReadelf)('the check of a Jetson’s ONNX Runtime', () => {
  test('calls what comes from npm the CPU build, and names what is missing', () => {
    const { status, said } = check(join(npm, INSIDE))
    expect(status).toBe(1)
    expect(said).toContain('this is the CPU build')
    for (const name of PROVIDERS) expect(said).toContain(`TROUBLE  ${name} is missing`)
    expect(said).toContain(`TROUBLE  ${BINDING} does not know the words cuda and tensorrt`)
    expect(said).toContain(`ok       ${LIBRARY} is of ${version}`)
  })

  test('passes five files that fit each other, and says what only the Jetson can tell', () => {
    const { status, said } = check(folder)
    expect(said).not.toContain('TROUBLE')
    expect(said).toMatch(/look again on the Jetson\ncomplete\./)
    expect(status).toBe(0)
  })

  test('asks the loader and Node on an arm64 machine', () => {
    onJetson()
    const { status, said } = check(folder)
    expect(said).toContain(`${BINDING} offers cpu,cuda,tensorrt`)
    for (const name of PROVIDERS) expect(said).toContain(`everything that ${name} needs is found`)
    expect(status).toBe(0)
  })

  test.each<[string, () => void, RegExp]>([
    [
      'a library that the loader does not find',
      () => play('ldd', 'echo "	libcudnn.so.9 => not found"'),
      /needs what the loader does not find: libcudnn\.so\.9 => not found\n +install the JetPack packages/,
    ],
    [
      'a binding that offers the CPU only',
      () => play('node', 'echo cpu'),
      /offers cpu only\n +build library and binding from one tree/,
    ],
    [
      'a binding that does not load',
      () => play('node', 'echo "Error: GLIBC_2.38 not found" >&2; exit 1'),
      /Node does not load onnxruntime_binding\.node: Error: GLIBC_2\.38 not found/,
    ],
    [
      'a file that is for another machine',
      () => put(LIBRARY, readFileSync(join(npm, 'bin/napi-v6/linux/x64', LIBRARY))),
      /libonnxruntime\.so\.1 is for Advanced Micro Devices X86-64, not for arm64/,
    ],
    [
      'a file that is no program at all',
      () => put(PROVIDERS[1]!, 'not yet'),
      /libonnxruntime_providers_cuda\.so is for no machine at all/,
    ],
  ])('finds %s, and says what to do', (_, spoil, sentence) => {
    onJetson()
    spoil()
    const { status, said } = check(folder)
    expect(said).toMatch(sentence)
    expect(status).toBe(1)
  })

  test('finds files of another release than the package’s', () => {
    const { status, said } = check(folder, '--version', '9.9.9')
    expect(status).toBe(1)
    for (const name of [BINDING, LIBRARY])
      expect(said).toContain(
        `TROUBLE  ${name} is of ${version}, onnxruntime-node is 9.9.9\n         build the tag v9.9.9`,
      )
  })

  test('finds a binding that looks for its libraries elsewhere', () => {
    const bytes = readFileSync(join(folder, BINDING))
    const place = bytes.indexOf('$ORIGIN/\0')
    expect(place).toBeGreaterThan(0)
    bytes.write('/nowhere', place)
    put(BINDING, bytes)
    const { status, said } = check(folder)
    expect(status).toBe(1)
    expect(said).toMatch(/looks for its libraries in '\/nowhere', not beside itself\n +patchelf --set-rpath '\$ORIGIN'/)
  })

  test.each([
    [['/nowhere'], /could not look: there is no folder \/nowhere/],
    [['--frobnicate'], /there is no option --frobnicate/],
    [['--version'], /--version needs a value/],
    [['/', '/tmp'], /one folder at a time/],
    [['/tmp'], /name the version with --version/],
  ])('could not look: %j', (args, sentence) => {
    const { status, said } = check(...args)
    expect(status).toBe(2)
    expect(said).toMatch(sentence)
  })
})
