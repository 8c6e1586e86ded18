// The shipped packages and recorded fixtures, as the model tests use them.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { type ModelPackage, readCatalog } from '../../models/catalog.ts'
import { DEFAULT_MAX_PIXELS } from '../../models/runtime/decode/limits.ts'
import type { RunFailure } from '../../models/runtime/failure.ts'
import { type Model, openModel } from '../../models/runtime/model.ts'

export const MODELS = fileURLToPath(new URL('../../models', import.meta.url))
const FIXTURES = fileURLToPath(new URL('../fixtures/models', import.meta.url))

export const fixture = (name: string): Promise<Buffer> => readFile(join(FIXTURES, name))

const catalog = readCatalog(MODELS)

export async function shipped(id: string): Promise<ModelPackage> {
  const pkg = (await catalog).resolve(id)
  if (!pkg) throw new Error(`${id} is not shipped`)
  return pkg
}

export const inPackage = (pkg: ModelPackage, path: string): Promise<Buffer> => readFile(join(pkg.folder, path))

/** Opened in this process and closed with the test. */
export async function opened(pkg: Pick<ModelPackage, 'manifest' | 'file' | 'sha256' | 'labels'>): Promise<Model> {
  const model = await openModel(pkg, { intraOpThreads: 1, maxPixels: DEFAULT_MAX_PIXELS })
  onTestFinished(() => model.close())
  return model
}

export async function answerOf(model: Model, contentType: string, data: Uint8Array) {
  const prepared = await model.prepare({ contentType, data })
  try {
    return await model.run(prepared)
  } finally {
    prepared.release()
  }
}

/** The failure that a frame meets, as `code: message`. */
export async function failureOf(model: Model, contentType: string, data: Uint8Array): Promise<string> {
  try {
    await answerOf(model, contentType, data)
  } catch (error) {
    const { code, message } = error as RunFailure
    return `${code}: ${message}`
  }
  throw new Error('the frame was answered')
}

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-models-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export type Json = Record<string, unknown>

/** Sets the field at a dotted path; undefined removes it. */
export function set(json: Json, path: string, value: unknown): void {
  const [key = '', ...rest] = path.split('.')
  if (rest.length > 0) set(json[key] as Json, rest.join('.'), value)
  else if (value === undefined) delete json[key]
  else json[key] = value
}
