import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { fp32Of, type ModelPackage } from '../../models/catalog.ts'
import { goldenFrame, host, isAlive, longClip, pidsOf, programs } from './host-rig.ts'
import { fixture, MODELS, shipped, temporaryFolder } from './zoo.ts'

test('a frame goes in, the golden answer comes out, with its times', async () => {
  const pkg = await shipped('mobilenet-v1')
  const inference = host()
  await inference.load(pkg)
  const { digest, result } = pkg.manifest.golden[0]!
  const outcome = await inference.run(pkg, await goldenFrame(pkg))
  expect(outcome).toEqual({
    ok: true,
    digest,
    prediction: result,
    ms: { decode: expect.any(Number), infer: expect.any(Number) },
    cpuMs: expect.any(Number),
    provider: 'cpu',
  })
  expect(outcome.ms?.decode).toBeGreaterThan(0)
  expect(outcome.ms?.infer).toBeGreaterThan(0)
  expect(inference.stats()).toMatchObject({
    ready: true,
    restarts: 0,
    timeouts: 0,
    crashes: 0,
    rssMiB: expect.any(Number),
  })
})

test('the runtime names what decides the bits of an answer', async () => {
  expect(await host().runtime()).toEqual({
    ort: '1.30.0',
    provider: 'cpu',
    cpu: expect.stringMatching(/^(x64|x64-vnni|arm64|arm64-dotprod)$/),
    decoder: 'jpeg-turbo-3.0.1+sharp-0.35.5',
    flags: expect.any(Array),
  })
})

test('several models are served side by side, each frame answered by its own, in the order of the calls', async () => {
  const inference = host()
  const packages = await Promise.all(
    ['mobilenet-v1', 'ssd-mobilenet-v1', 'silero-vad', 'fashion', 'vibration-ae'].map(shipped),
  )
  await Promise.all(packages.map((pkg) => inference.load(pkg)))
  const order: string[] = []
  const calls = [0, 1, 2].flatMap((at) =>
    packages.map((pkg) => ({ pkg, at: Math.min(at, pkg.manifest.golden.length - 1) })),
  )
  const frames = await Promise.all(calls.map(({ pkg, at }) => goldenFrame(pkg, at)))
  await Promise.all(
    calls.map(async ({ pkg, at }, i) => {
      const outcome = await inference.run(pkg, frames[i]!)
      order.push(`${pkg.manifest.id} ${at}`)
      expect(outcome).toMatchObject({ ok: true, digest: pkg.manifest.golden[at]!.digest })
    }),
  )
  expect(order).toEqual(calls.map(({ pkg, at }) => `${pkg.manifest.id} ${at}`))
})

test('a quantized model and its float sibling are two models with two answers', async () => {
  const int8 = await shipped('fashion')
  const float = fp32Of(int8)!
  const inference = host()
  await Promise.all([inference.load(int8), inference.load(float)])
  const frame = await goldenFrame(int8)
  const [a, b] = [await inference.run(int8, frame), await inference.run(float, frame)]
  expect(a).toMatchObject({ ok: true, prediction: { labels: [{ label: 'coat', score: 0.5059 }, {}, {}] } })
  expect(b).toMatchObject({ ok: true, prediction: { labels: [{ label: 'coat', score: 0.5564 }, {}, {}] } })
  await inference.unload('fashion')
  expect(await inference.run(float, frame)).toMatchObject({ ok: false, error: { code: 'unknown-model' } })
})

describe('a model that cannot be served is refused when it is loaded', () => {
  test('a file that is no model, a file that changed, a file that is gone', async () => {
    const inference = host()
    const pkg = await shipped('fashion')
    const folder = await temporaryFolder()
    const file = join(folder, 'model.onnx')
    await writeFile(file, await readFile(pkg.file))
    const bytes = await readFile(file)
    bytes[1000]! ^= 1
    await writeFile(file, bytes)
    await expect(inference.load({ ...pkg, file })).rejects.toMatchObject({
      code: 'load-failed',
      message: expect.stringContaining('has changed'),
    })
    await expect(inference.load({ ...pkg, file: join(folder, 'none') })).rejects.toMatchObject({ code: 'load-failed' })
    const text = await shipped('vibration-ae')
    const noModel = { ...text, file: join(MODELS, 'vibration-ae', 'LICENSE') }
    const sha256 = createHash('sha256')
      .update(await readFile(noModel.file))
      .digest('hex')
    await expect(inference.load({ ...noModel, sha256 })).rejects.toMatchObject({ code: 'load-failed' })
    expect(await inference.run(pkg, await goldenFrame(pkg))).toMatchObject({
      ok: false,
      error: { code: 'unknown-model' },
    })
    await inference.load(pkg)
    expect(await inference.run(pkg, await goldenFrame(pkg))).toMatchObject({ ok: true })
    expect(inference.stats()).toMatchObject({ crashes: 0, restarts: 0 })
  })

  test('an int8 model that is garbage still answers: only its golden frames tell', async () => {
    const good = await shipped('mobilenet-v1')
    const bytes = gunzipSync(await fixture('mobilenet-v1.bad.onnx.gz'))
    const file = join(await temporaryFolder(), 'model.onnx')
    await writeFile(file, bytes)
    const manifest = {
      ...good.manifest,
      version: '0.0.1',
      output: { ...good.manifest.output, names: ['output0'] },
    } as ModelPackage['manifest']
    const bad = { ...good, manifest, file, sha256: '8d61eba922d71e75b34253965f532de487dafc52c393dd528e2f3948b15c8d1a' }
    const inference = host()
    await inference.load(bad)
    const outcome = await inference.run(bad, await goldenFrame(good))
    expect(outcome).toMatchObject({ ok: true })
    expect(outcome.ok && outcome.digest).not.toBe(good.manifest.golden[0]!.digest)
  })
})

test('bad frames are answered with their reason and disturb nobody', async () => {
  const pkg = await shipped('mobilenet-v1')
  const inference = host()
  await inference.load(pkg)
  const good = await goldenFrame(pkg)
  const outcomes = await Promise.all([
    inference.run(pkg, good),
    inference.run(pkg, { ...good, data: good.data.subarray(0, 9000) }),
    inference.run(pkg, { contentType: 'text/plain', data: Buffer.from('hello') }),
    inference.run(pkg, { contentType: 'image/png', data: new Uint8Array() }),
    inference.run(pkg, good),
  ])
  expect(outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error.code))).toEqual([
    'ok',
    'bad-frame',
    'bad-frame',
    'bad-frame',
    'ok',
  ])
})

describe('a run over its limit', () => {
  test('is killed and answered, the frames behind it are answered by the next process', async () => {
    const [silero, fashion] = await Promise.all([shipped('silero-vad'), shipped('fashion')])
    const inference = host({ limitMs: 250 })
    await Promise.all([inference.load(silero), inference.load(fashion)])
    const [pid] = pidsOf(inference)
    const behind = await goldenFrame(fashion)
    const [slow, next, last] = await Promise.all([
      inference.run(silero, longClip),
      inference.run(fashion, behind),
      inference.run(fashion, behind),
    ])
    expect(slow).toEqual({ ok: false, killed: true, error: { code: 'timeout', message: 'not finished within 250 ms' } })
    for (const outcome of [next, last])
      expect(outcome).toMatchObject({ ok: true, digest: fashion.manifest.golden[0]!.digest })
    expect(inference.stats()).toMatchObject({ timeouts: 1, crashes: 0, restarts: 1, ready: true })
    expect(pidsOf(inference)).not.toContain(pid)
  })
})

describe('memory', () => {
  test('a process that leaks is replaced between runs, and no answer is lost for it', async () => {
    const fashion = await shipped('fashion')
    const inference = host({ ceilingMiB: 200, program: programs('leaky.ts') })
    await inference.load(fashion)
    const [pid] = pidsOf(inference)
    const frame = await goldenFrame(fashion)
    for (let i = 0; i < 20; i++)
      for (const outcome of await Promise.all([1, 2, 3].map(() => inference.run(fashion, frame))))
        expect(outcome).toMatchObject({ ok: true, digest: fashion.manifest.golden[0]!.digest })
    expect(inference.stats()).toMatchObject({ crashes: 0, timeouts: 0, restarts: 0 })
    expect(inference.stats().recycled).toBeGreaterThan(0)
    expect(pidsOf(inference)).not.toContain(pid)
  })

  test('a ceiling below what the models need is raised instead of replacing the process for ever', async () => {
    const fashion = await shipped('fashion')
    const inference = host({ ceilingMiB: 1 })
    await inference.load(fashion)
    const frame = await goldenFrame(fashion)
    for (let i = 0; i < 50; i++) expect(await inference.run(fashion, frame)).toMatchObject({ ok: true })
    expect(inference.stats()).toMatchObject({ recycled: 0, crashes: 0, restarts: 0 })
  })

  test('a model that must make way for another comes back for its next frame', async () => {
    const [mobilenet, ssd] = await Promise.all([shipped('mobilenet-v1'), shipped('ssd-mobilenet-v1')])
    const inference = host({ budgetMiB: 16 })
    await inference.load(mobilenet)
    await inference.load(ssd)
    for (const pkg of [mobilenet, ssd, mobilenet])
      expect(await inference.run(pkg, await goldenFrame(pkg))).toMatchObject({
        ok: true,
        digest: pkg.manifest.golden[0]!.digest,
      })
    expect(inference.stats()).toMatchObject({ unloads: 4, waitedForLoad: 3, crashes: 0 })
  })
})

describe('a model that is taken out', () => {
  test.each([1, 2])('and wanted again at once is loaded and answers, with %i processes', async (processes) => {
    const fashion = await shipped('fashion')
    const inference = host({ processes })
    await inference.load(fashion)
    for (let i = 0; i < 3; i += 1) {
      const gone = inference.unload('fashion@1.0.0')
      await inference.load(fashion)
      await gone
      expect(await inference.run(fashion, await goldenFrame(fashion))).toMatchObject({ ok: true })
    }
  })

  test('is known to the next process, too', async () => {
    const fashion = await shipped('fashion')
    const inference = host()
    await inference.load(fashion)
    const gone = inference.unload('fashion')
    await inference.load(fashion)
    await gone
    const [pid] = pidsOf(inference)
    process.kill(pid!, 'SIGKILL')
    await expect.poll(async () => (await inference.run(fashion, await goldenFrame(fashion))).ok).toBe(true)
  })
})

describe('execution providers', () => {
  test('one that is wanted and not there is passed over, and the reason is kept', async () => {
    const fashion = await shipped('fashion')
    const inference = host({ providers: ['cuda', 'cpu'] })
    await inference.load(fashion)
    expect(inference.provider()).toEqual({
      wanted: ['cuda', 'cpu'],
      used: 'cpu',
      reason: expect.stringMatching(/^cuda: /),
    })
    expect(await inference.run(fashion, await goldenFrame(fashion))).toMatchObject({ ok: true })
    expect((await inference.runtime()).provider).toBe('cpu')
  })
})

describe('closing', () => {
  test('ends the process and answers what is still waiting', async () => {
    const inference = host()
    const silero = await shipped('silero-vad')
    await inference.load(silero)
    const [pid] = pidsOf(inference)
    const running = inference.run(silero, longClip)
    const waiting = inference.run(silero, longClip)
    await inference.close()
    for (const outcome of [await running, await waiting, await inference.run(silero, longClip)])
      expect(outcome).toEqual({ ok: false, error: { code: 'busy', message: 'the inference host is closing' } })
    expect(isAlive(pid!)).toBe(false)
    await expect(inference.load(silero)).rejects.toMatchObject({ code: 'closed' })
  })

  test('before the process was ready is as good', async () => {
    const inference = host()
    await inference.close()
    await expect(inference.runtime()).rejects.toMatchObject({ code: 'closed' })
  })

  test('of the parent by kill -9 takes the child with it', async () => {
    const owner = fork(fileURLToPath(new URL('host-owner.ts', import.meta.url)), [join(MODELS, 'fashion')], {
      execArgv: [],
    })
    const [pid] = (await once(owner, 'message')) as [number]
    expect(isAlive(pid)).toBe(true)
    owner.kill('SIGKILL')
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false)
  })
})
