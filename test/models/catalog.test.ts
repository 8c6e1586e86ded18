import { cp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type CatalogError, fp32Of, nameOf, readCatalog } from '../../models/catalog.ts'
import { type Json, MODELS, set, shipped, temporaryFolder } from './zoo.ts'

async function copyOf(...ids: string[]): Promise<string> {
  const folder = await temporaryFolder()
  for (const id of ids) await cp(join(MODELS, id), join(folder, id), { recursive: true })
  return folder
}

async function edit(folder: string, id: string, path: string, value: unknown): Promise<void> {
  const file = join(folder, id, 'model.json')
  const manifest: Json = JSON.parse(await readFile(file, 'utf8'))
  set(manifest, path, value)
  await writeFile(file, JSON.stringify(manifest))
}

const faultOf = (folder: string): Promise<string> =>
  readCatalog(folder).then(
    () => 'none',
    (error: CatalogError) => `${error.code}: ${error.message}`,
  )

test('the shipped catalog is read, with labels and digests', async () => {
  const catalog = await readCatalog(MODELS)
  expect(catalog.list().map(nameOf)).toEqual([
    'fashion@1.0.0',
    'mobilenet-v1@1.0.0',
    'silero-vad@4.0.0',
    'ssd-mobilenet-v1@1.0.0',
    'vibration-ae@1.0.0',
  ])
  const mobilenet = catalog.resolve('mobilenet-v1')
  expect(mobilenet?.labels[286]).toBe('Egyptian cat')
  expect(mobilenet?.sha256).toBe('a17269c32b896083d127606f6fa3a7701d814464f87f640b7366075fe4d356fc')
  expect(catalog.resolve('ssd-mobilenet-v1')?.labels[11]).toBeNull()
})

test('a name resolves to its highest version, a name with version to that one', async () => {
  const folder = await copyOf('fashion')
  for (const [copy, version] of [
    ['b', '1.10.0'],
    ['c', '1.9.3'],
    ['d', '1.10.0-rc.1'],
  ] as const) {
    await cp(join(folder, 'fashion'), join(folder, copy), { recursive: true })
    await edit(folder, copy, 'version', version)
  }
  const catalog = await readCatalog(folder)
  expect(catalog.resolve('fashion')?.manifest.version).toBe('1.10.0')
  expect(catalog.resolve('fashion@1.9.3')?.manifest.version).toBe('1.9.3')
  expect(catalog.resolve('fashion@2.0.0')).toBeUndefined()
  expect(catalog.resolve('trousers')).toBeUndefined()
})

test.each(['model.onnx', 'fp32.onnx', 'labels.json', 'golden/bag.png'])(
  'one changed byte in %s is refused',
  async (path) => {
    const folder = await copyOf('fashion')
    const file = join(folder, 'fashion', path)
    const bytes = await readFile(file)
    bytes[bytes.length >> 1]! ^= 1
    await writeFile(file, bytes)
    expect(await faultOf(folder)).toMatch(/^digest-mismatch: .* has sha256 /)
  },
)

test('a file of another size, a missing file and a missing folder are told apart', async () => {
  const folder = await copyOf('fashion')
  await writeFile(join(folder, 'fashion', 'model.onnx'), 'short')
  expect(await faultOf(folder)).toMatch(/^size-mismatch: .* has 5 bytes, model.json says 37145/)
  await rm(join(folder, 'fashion', 'model.onnx'))
  expect(await faultOf(folder)).toMatch(/^missing-file: /)
  expect(await faultOf(join(folder, 'nowhere'))).toMatch(/^no-folder: /)
})

test('a link that leads out of the package is refused, whatever it points to', async () => {
  const folder = await copyOf('fashion')
  const file = join(folder, 'fashion', 'model.onnx')
  await rm(file)
  await symlink(join(MODELS, 'fashion', 'model.onnx'), file)
  expect(await faultOf(folder)).toMatch(/^outside-folder: /)
})

test('a manifest that is wrong or no JSON is refused with its file and field', async () => {
  const folder = await copyOf('fashion')
  await edit(folder, 'fashion', 'output.classes', 9)
  expect(await faultOf(folder)).toMatch(/^bad-labels: labels: .* has 10 labels, output.classes says 9/)
  await edit(folder, 'fashion', 'output.top', 9)
  expect(await faultOf(folder)).toMatch(/^bad-manifest: .*model.json: output.top: is not a field here/)
  await writeFile(join(folder, 'fashion', 'model.json'), '{')
  expect(await faultOf(folder)).toMatch(/^bad-manifest: .* is not JSON/)
})

test('two folders with the same id and version are refused', async () => {
  const folder = await copyOf('fashion')
  await cp(join(folder, 'fashion'), join(folder, 'twin'), { recursive: true })
  expect(await faultOf(folder)).toMatch(/^duplicate: /)
})

test('the float sibling of a quantized model is a package of its own', async () => {
  expect(fp32Of(await shipped('mobilenet-v1'))).toBeUndefined()
  const sibling = fp32Of(await shipped('vibration-ae'))
  expect(sibling).toMatchObject({ bytes: 71271, manifest: { version: '1.0.0-fp32', quantization: { kind: 'none' } } })
})
