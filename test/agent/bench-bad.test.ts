// The deliberately bad model, sent by a console and with its good sibling beside it: the bench measures what the board serves,
// and what it finds stays known.
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeBench } from '../../agent/bench/telling.ts'
import { type BenchReport, runBench } from '../../agent/bench.ts'
import { readConfig } from '../../agent/config.ts'
import { openHost } from '../../agent/hosting.ts'
import { infoOf } from '../../agent/presence/info.ts'
import { comparisonWords } from '../../console/ui/words.ts'
import { readPackage } from '../../models/catalog.ts'
import { goldenFrames } from '../../models/proof.ts'
import { createHost } from '../../models/runtime/host.ts'
import { lengthField, MODELS, removeFolders, sha256, temporaryFolder, varint } from './packages-rig.ts'

const log = pino({ level: 'silent' })
const field = (number: number, text: string) => lengthField(number, Buffer.from(text))
const number = (field: number, value: number) => Buffer.concat([varint(field * 8), varint(value)])

/** A graph that is merged into a model's own: its scores once more, under the name that the bad model gives them. */
function alsoNamed(from: string, to: string, classes: number): Buffer {
  const identity = Buffer.concat([field(1, from), field(2, to), field(4, 'Identity')])
  const dims = [1, classes].map((n) => lengthField(1, number(1, n)))
  const tensor = Buffer.concat([number(1, 1), lengthField(2, Buffer.concat(dims))])
  const output = Buffer.concat([field(1, to), lengthField(2, lengthField(1, tensor))])
  return lengthField(7, Buffer.concat([lengthField(1, identity), lengthField(12, output)]))
}

/** Its publisher recorded as golden what the bad model answers: nothing but its sibling shows that it is wrong. */
async function writeBadPackage(folder: string): Promise<void> {
  await cp(join(MODELS, 'mobilenet-v1'), folder, { recursive: true })
  const manifest = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8'))
  const good = Buffer.concat([await readFile(join(folder, 'model.onnx')), alsoNamed('logits', 'output0', 1001)])
  const bad = gunzipSync(await readFile(new URL('../fixtures/models/mobilenet-v1.bad.onnx.gz', import.meta.url)))
  const ref = (path: string, bytes: Buffer) => ({ path, sha256: sha256(bytes), bytes: bytes.byteLength })
  await writeFile(join(folder, 'model.onnx'), bad)
  await writeFile(join(folder, 'fp32.onnx'), good)
  Object.assign(manifest, {
    version: '2.0.0',
    file: { ...manifest.file, ...ref('model.onnx', bad) },
    quantization: { kind: 'static-u8u8', fp32: ref('fp32.onnx', good) },
  })
  manifest.output.names = ['output0']
  for (const golden of manifest.golden) golden.outputs = { output0: golden.outputs.logits }
  const save = () => writeFile(join(folder, 'model.json'), JSON.stringify(manifest))
  await save()
  const pkg = await readPackage(folder)
  const host = createHost({ log })
  await host.load(pkg)
  for (const [at, frame] of (await goldenFrames(pkg)).entries()) {
    const outcome = await host.run(pkg, frame)
    if (!outcome.ok) throw new Error(outcome.error.message)
    Object.assign(manifest.golden[at], { digest: outcome.digest, result: outcome.prediction })
  }
  await host.close()
  await save()
}

let data: string
let report: BenchReport
beforeAll(async () => {
  data = await temporaryFolder()
  const release = 'a'.repeat(64)
  const packages = join(data, 'packages')
  await mkdir(packages)
  await writeBadPackage(join(packages, `mobilenet-v1@2.0.0.${release}`))
  await writeFile(
    join(packages, 'served.json'),
    JSON.stringify({ models: { 'mobilenet-v1': { release } }, recent: [] }),
  )
  const config = readConfig({}, { data, serve: 'mobilenet-v1' })
  const { now } = Date
  const elapsed = () => performance.now()
  report = await runBench({ config, log, seconds: 0.1, now, elapsed, progress: () => {} })
}, 120_000)
afterAll(removeFolders)

test('what the console sent is measured in the place of what lies in the folder', () => {
  expect(new Set(report.measured.map(({ model }) => model))).toEqual(new Set(['mobilenet-v1@2.0.0']))
})

test('the bench says that it is slower and answers otherwise', () => {
  const [found] = report.comparisons
  expect(found).toMatchObject({ model: 'mobilenet-v1@2.0.0', frames: 3 })
  expect(found!.agree).toBeLessThan(3)
  expect(found!.quantizedMs).toBeGreaterThan(found!.fp32Ms)
  expect(describeBench(report)).toMatch(/DIFFERENT ANSWERS.*SLOWER/)
})

test('so does the board from its next start on, and the page in words', async () => {
  const config = readConfig({}, { data })
  const { host, cores, comparisons } = openHost(config, log)
  await host.close()
  const served = await readPackage(join(data, 'packages', `mobilenet-v1@2.0.0.${'a'.repeat(64)}`))
  const folder = await readPackage(join(MODELS, 'mobilenet-v1'))
  const { models } = infoOf({
    device: 'd',
    name: 'n',
    boot: 'b',
    at: 0,
    version: '0',
    board: { model: 'm', arch: 'x64', cpus: 2, memMiB: 1 },
    runtime: { ort: '1', provider: 'cpu', cpu: 'x64', decoder: 'd', flags: [] },
    models: [served, folder],
    comparisons,
    packages: [],
    software: undefined,
    notices: [],
    provider: { wanted: [], used: 'cpu' },
    hosts: cores,
    limits: { payloadBytes: 1, queuedFrames: 1 },
  })
  const { model: _, digest: __, ...besideFp32 } = report.comparisons[0]!
  expect(models).toMatchObject([{ version: '2.0.0', besideFp32 }, { version: '1.0.0' }])
  expect(models[1]).not.toHaveProperty('besideFp32')
  expect(comparisonWords(models[0]!.besideFp32!)).toMatch(/DIFFERENT ANSWERS on [1-3] of 3 frames; SLOWER, /)
  expect(comparisonWords({ quantizedMs: 1, fp32Ms: 2, agree: 3, frames: 3 })).toBeUndefined()
})
