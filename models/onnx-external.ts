// Looks through an ONNX file for tensors that keep their data in other files: such a model reads whatever path it names, and
// the digests of its package say nothing about those bytes. The file is foreign: it is walked in pieces, without recursion,
// within limits, and what cannot be understood is refused, since ONNX Runtime might understand it otherwise.
import { type FileHandle, open } from 'node:fs/promises'

export interface ModelFault {
  readonly code: 'external-data' | 'bad-model'
  readonly reason: string
}

type Kind = 'model' | 'training' | 'function' | 'graph' | 'node' | 'attribute' | 'sparse' | 'tensor'

/** Which fields of onnx.proto3 lead to a tensor, by message and field number. */
const INSIDE: Readonly<Record<Kind, Readonly<Record<number, Kind>>>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: {},
}
/** TensorProto.external_data and TensorProto.data_location (0 is DEFAULT, 1 EXTERNAL). */
const EXTERNAL_DATA = 13
const DATA_LOCATION = 14

const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5

/** Protobuf itself stops at 100 messages inside each other. */
const MAX_DEPTH = 100
/** A model of 512 MiB has under a million; beyond this the walk would keep a small board busy for minutes. */
const MAX_FIELDS = 10_000_000
/** A tag and a length, each of at most ten bytes. */
const HEAD_BYTES = 20
const WINDOW_BYTES = 64 * 1024
/** At offset 4 of a model in ONNX Runtime's own format, which the runtime prefers to protobuf where it sees this. */
const ORT_FORMAT = 'ORTM'

const bad = (reason: string): ModelFault => ({ code: 'bad-model', reason })

class Unreadable extends Error {
  override readonly name = 'Unreadable'
}

/** A window of the file that moves forward. */
function createWindow(file: FileHandle, size: number) {
  const bytes = Buffer.allocUnsafe(WINDOW_BYTES)
  let from = 0
  let to = 0
  return {
    /** Makes the next bytes at `at` readable. Only waits where they are not in the window. */
    needs: (at: number): boolean => at < from || Math.min(at + HEAD_BYTES, size) > to,
    async move(at: number): Promise<void> {
      const { bytesRead } = await file.read(bytes, 0, WINDOW_BYTES, at)
      from = at
      to = at + bytesRead
    },
    /** A varint that ends before `end`: its value and where it ended. Values beyond 2^53 are as wrong as any too large one. */
    varint(at: number, end: number): { value: number; next: number } {
      let value = 0
      for (let i = 0; i < 10; i += 1) {
        const byte = at + i < Math.min(end, to) ? bytes[at + i - from] : undefined
        if (byte === undefined) throw new Unreadable('it ends in the middle of a number')
        value += (byte & 0x7f) * 2 ** (7 * i)
        if (byte < 0x80) return { value, next: at + i + 1 }
      }
      throw new Unreadable('it holds a number of more than ten bytes')
    },
    holdsAt: (at: number, text: string): boolean =>
      bytes.toString('latin1', at - from, at - from + text.length) === text,
  }
}

interface Message {
  readonly kind: Kind
  readonly end: number
}

/** Undefined for a model that holds all its data itself. Rejects with the fault of the disk. */
export async function faultOfModelFile(path: string): Promise<ModelFault | undefined> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    return await walk(file, size)
  } catch (error) {
    if (error instanceof Unreadable) return bad(`is no ONNX model: ${error.message}`)
    throw error
  } finally {
    await file.close()
  }
}

async function walk(file: FileHandle, size: number): Promise<ModelFault | undefined> {
  const window = createWindow(file, size)
  const open: Message[] = [{ kind: 'model', end: size }]
  let at = 0
  await window.move(0)
  if (window.holdsAt(4, ORT_FORMAT)) return bad("is in ONNX Runtime's own format, which is not checked here")
  for (let fields = 0; fields < MAX_FIELDS; fields += 1) {
    while (open.at(-1)?.end === at) open.pop()
    const message = open.at(-1)
    if (!message) return undefined
    if (window.needs(at)) await window.move(at)
    const field = readField(window, at, message)
    if (message.kind === 'tensor' && isExternal(field))
      return { code: 'external-data', reason: 'keeps tensors in other files, which no digest covers' }
    const kind = field.type === LENGTH ? INSIDE[message.kind][field.number] : undefined
    if (kind !== undefined) open.push({ kind, end: field.end })
    if (open.length > MAX_DEPTH) return bad(`holds more than ${MAX_DEPTH} messages inside each other`)
    at = kind === undefined ? field.end : field.start
  }
  return bad(`has more than ${MAX_FIELDS} fields`)
}

interface Field {
  readonly number: number
  readonly type: number
  /** Of a varint. */
  readonly value: number
  readonly start: number
  readonly end: number
}

const isExternal = ({ number, type, value }: Field): boolean =>
  (number === EXTERNAL_DATA && type === LENGTH) || (number === DATA_LOCATION && type === VARINT && value !== 0)

function readField(window: ReturnType<typeof createWindow>, at: number, { end }: Message): Field {
  const tag = window.varint(at, end)
  const [number, type] = [Math.floor(tag.value / 8), tag.value % 8]
  if (number === 0 || tag.value > 0xffff_ffff) throw new Unreadable('it holds an impossible field')
  const head = type === VARINT || type === LENGTH ? window.varint(tag.next, end) : { value: 0, next: tag.next }
  const field = { number, type, value: head.value, start: head.next, end: head.next + bytesOf(type, head.value) }
  if (field.end > end) throw new Unreadable('a part of it is longer than the whole')
  return field
}

/** Groups (types 3 and 4) have been gone since before ONNX. */
function bytesOf(type: number, length: number): number {
  switch (type) {
    case VARINT:
      return 0
    case FIXED64:
      return 8
    case LENGTH:
      return length
    case FIXED32:
      return 4
    default:
      throw new Unreadable(`it holds a field of type ${type}`)
  }
}
