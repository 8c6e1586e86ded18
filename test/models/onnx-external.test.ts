// The walk through an ONNX file: what keeps data elsewhere is found wherever it hides, and no file makes the walk fail otherwise.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { faultOfModelFile } from '../../models/onnx-external.ts'

const MODELS = new URL('../../models/', import.meta.url).pathname
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bramble-onnx-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]
const field = (number: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(body.byteLength)]), body])
}
const number = (at: number, value: number): Buffer => Buffer.from([...varint(at * 8), ...varint(value)])
const text = (at: number, value: string): Buffer => field(at, Buffer.from(value))

const EXTERNAL = number(14, 1)
const graph = (...parts: Uint8Array[]): Buffer => field(7, ...parts)
/** GraphProto: a node with one attribute. */
const attribute = (...parts: Uint8Array[]): Buffer => field(1, field(5, ...parts))

async function faultOf(bytes: Uint8Array) {
  const file = join(folder, 'model.onnx')
  await writeFile(file, bytes)
  return faultOfModelFile(file)
}

test('every shipped model, quantized or not, holds its own data', async () => {
  for (const id of await readdir(MODELS))
    for (const name of ['model.onnx', 'fp32.onnx']) {
      const file = join(MODELS, id, name)
      const bytes = await readFile(file).catch(() => undefined)
      if (bytes) expect(await faultOfModelFile(file), file).toBeUndefined()
    }
})

test.each([
  ['an initializer', graph(field(5, EXTERNAL))],
  ['an initializer that only names the file', graph(field(5, field(13, text(1, 'location'), text(2, '/etc/passwd'))))],
  ['an initializer behind much data', graph(field(5, field(9, Buffer.alloc(300_000))), field(5, EXTERNAL))],
  ['the values of a sparse initializer', graph(field(15, field(1, EXTERNAL)))],
  ['the indices of a sparse initializer', graph(field(15, field(2, EXTERNAL)))],
  ['a constant', graph(attribute(field(5, EXTERNAL)))],
  ['a list of constants', graph(attribute(field(10, EXTERNAL)))],
  ['a sparse constant', graph(attribute(field(22, field(1, EXTERNAL))))],
  ['the branch of an If', graph(attribute(field(6, field(5, EXTERNAL))))],
  ['one of several branches', graph(attribute(field(11, field(5, EXTERNAL))))],
  ['a branch in a branch', graph(attribute(field(6, attribute(field(6, field(5, EXTERNAL))))))],
  ['a function', field(25, field(7, field(5, field(5, EXTERNAL))))],
  ['the default of a function', field(25, field(11, field(5, EXTERNAL)))],
  ['the training graph', field(20, field(1, field(5, EXTERNAL)))],
  ['a second graph, which is merged into the first', Buffer.concat([graph(), graph(field(5, EXTERNAL))])],
  ['a field number written in more bytes than needed', graph(field(5, Buffer.from([0xf0, 0x80, 0x00, 0x01])))],
])('external data in %s is found', async (_, bytes) => {
  expect(await faultOf(bytes)).toMatchObject({ code: 'external-data' })
})

test('data in the file itself, said so explicitly, is no fault', async () => {
  expect(await faultOf(graph(field(5, number(14, 0), field(9, Buffer.alloc(8)))))).toBeUndefined()
})

test("what looks alike in other messages is no fault: a node's or a model's field 14", async () => {
  expect(
    await faultOf(Buffer.concat([number(14, 1), field(14, text(1, 'x')), graph(field(1, EXTERNAL))])),
  ).toBeUndefined()
})

test('a shipped model stays without fault when a tensor is added to it, until that tensor is external', async () => {
  const bytes = await readFile(join(MODELS, 'fashion', 'model.onnx'))
  const more = (...parts: Uint8Array[]): Buffer => Buffer.concat([bytes, graph(field(5, text(8, 'more'), ...parts))])
  expect(await faultOf(more(field(9, Buffer.alloc(16))))).toBeUndefined()
  expect(await faultOf(more(EXTERNAL))).toMatchObject({ code: 'external-data' })
})

const deep = (levels: number): Buffer => (levels === 0 ? field(5, EXTERNAL) : attribute(field(6, deep(levels - 1))))

test.each([
  ['text', Buffer.from('hello world, I am a model')],
  ['a number that never ends', Buffer.alloc(64, 0xff)],
  ['a part longer than the whole', Buffer.from([0x3a, 0xff, 0xff, 0xff, 0x7f])],
  ['a part that ends in the middle of a number', Buffer.from([0x3a, 0x01, 0x80])],
  ['a group, which ONNX has none of', Buffer.from([0x0b, 0x0c])],
  ['field number 0', Buffer.from([0x02, 0x00])],
  ['graphs inside graphs without end', graph(deep(60))],
  ["ONNX Runtime's own format in the clothes of protobuf", text(2, '12ORTM and so on')],
])('%s is refused, not passed over', async (_, bytes) => {
  expect(await faultOf(bytes)).toMatchObject({ code: 'bad-model' })
})

test('no bytes make it fail otherwise, wherever they are cut or changed', async () => {
  const good = await readFile(join(MODELS, 'vibration-ae', 'model.onnx'))
  await fc.assert(
    fc.asyncProperty(fc.nat(good.byteLength - 1), fc.nat(255), fc.boolean(), async (at, byte, cut) => {
      const bytes = Buffer.from(cut ? good.subarray(0, at) : good)
      if (!cut) bytes[at] = byte
      const fault = await faultOf(bytes)
      return fault === undefined || fault.code === 'bad-model' || fault.code === 'external-data'
    }),
    { numRuns: 200 },
  )
})
