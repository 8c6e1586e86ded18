// What stands between a bad model and its users: the golden cases, run in the inference host of this machine.
import { createHash } from 'node:crypto'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { type ModelPackage, readPackage } from '../../models/catalog.ts'
import { compareWithFp32 } from '../../models/compare.ts'
import { proveGoldens } from '../../models/proof.ts'
import { createHost, type InferenceHost } from '../../models/runtime/host.ts'
import { fixture, type Json, set, shipped, temporaryFolder } from './zoo.ts'

function host(): InferenceHost {
  const made = createHost({ log: pino({ level: 'silent' }) })
  onTestFinished(() => made.close())
  return made
}

/** A copy of a shipped package with another model file, and a manifest that agrees with it. */
async function altered(id: string, model: Uint8Array | undefined, change: (manifest: Json) => void) {
  const { folder, manifest } = await shipped(id)
  const copy = await temporaryFolder()
  await cp(folder, copy, { recursive: true })
  const json = JSON.parse(await readFile(join(copy, 'model.json'), 'utf8')) as Json
  if (model) {
    await writeFile(join(copy, manifest.file.path), model)
    set(json, 'file.sha256', createHash('sha256').update(model).digest('hex'))
    set(json, 'file.bytes', model.byteLength)
  }
  change(json)
  await writeFile(join(copy, 'model.json'), JSON.stringify(json))
  return readPackage(copy)
}

/** The bad model, put in the place of the good one: its output has another name; all else, golden cases too, is unchanged. */
const badModel = async (change: (manifest: Json) => void = () => {}) =>
  altered('mobilenet-v1', gunzipSync(await fixture('mobilenet-v1.bad.onnx.gz')), (json) => {
    const { names } = json['output'] as { names: string[] }
    const [name = ''] = names.splice(0, 1, 'output0')
    for (const { outputs } of json['golden'] as { outputs: Json }[]) {
      outputs['output0'] = outputs[name]
      delete outputs[name]
    }
    change(json)
  })

const near = (json: Json): void => set(json, 'determinism', { class: 'near', tolerance: 0.01 })

async function proofOf(pkg: ModelPackage) {
  const inference = host()
  await inference.load(pkg)
  return proveGoldens(inference, pkg)
}

test.each(['mobilenet-v1', 'ssd-mobilenet-v1', 'silero-vad', 'fashion', 'vibration-ae'])(
  '%s computes here what its publisher recorded',
  async (id) => {
    const pkg = await shipped(id)
    expect(await proofOf(pkg)).toEqual({ ok: true, cases: pkg.manifest.golden.length, exact: true })
  },
)

test('the deliberately bad model loads and answers, and is refused for its answers', async () => {
  const pkg = await badModel()
  const proof = await proofOf(pkg)
  expect(proof).toEqual({
    ok: false,
    cause: 'answer',
    reason: expect.stringMatching(
      /^golden\/.*: its answer is not the recorded one \(digest [0-9a-f]{12}…, not [0-9a-f]{12}…\)$/,
    ),
  })
})

test('a model that may differ in its last bits is held to its tolerance', async () => {
  const off = await badModel(near)
  expect(await proofOf(off)).toEqual({
    ok: false,
    cause: 'answer',
    reason: expect.stringContaining('further than 0.01'),
  })

  const record = (score: number) => (json: Json) => {
    near(json)
    const [first] = json['golden'] as Json[]
    set(first as Json, 'digest', '0'.repeat(64))
    const { labels } = (first as { result: { labels: { score: number }[] } }).result
    for (const label of labels) label.score += score
  }
  expect(await proofOf(await altered('mobilenet-v1', undefined, record(0.005)))).toMatchObject({
    ok: true,
    exact: false,
  })
  expect(await proofOf(await altered('mobilenet-v1', undefined, record(0.02)))).toMatchObject({ ok: false })
})

test('a model that cannot run is not proven', async () => {
  const pkg = await shipped('fashion')
  const proof = await proveGoldens(host(), pkg)
  expect(proof).toEqual({ ok: false, cause: 'run', reason: expect.stringContaining('unknown-model') })
})

test.each([
  ['timeout', 'run'],
  ['crashed', 'run'],
  ['busy', 'run'],
  ['bad-frame', 'answer'],
  ['model-failed', 'answer'],
] as const)('%s is no answer: the cause is %s', async (code, cause) => {
  const run = async () => ({ ok: false, error: { code, message: 'x' } }) as const
  expect(await proveGoldens({ run }, await shipped('fashion'))).toMatchObject({ ok: false, cause })
})

test('a quantized model and its fp32 sibling are run on the same frames', async () => {
  const pkg = await shipped('fashion')
  const inference = host()
  const found = await compareWithFp32(inference, pkg)
  expect(found).toMatchObject({ agree: 3, frames: 3 })
  expect(found?.quantizedMs).toBeGreaterThan(0)
  expect(await compareWithFp32(inference, await shipped('mobilenet-v1'))).toBeUndefined()
})
