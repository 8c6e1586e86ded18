// A folder of model packages: every manifest parsed, every file it names checked byte for byte, resolved by id[@version].
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { digestOfFile } from './file-digest.ts'
import { type FileRef, type Manifest, readManifest } from './manifest.ts'
import { faultOfModelFile } from './onnx-external.ts'

export interface ModelPackage {
  readonly manifest: Manifest
  readonly folder: string
  /** Absolute path of the model file, with its digest and size as checked. */
  readonly file: string
  readonly sha256: string
  readonly bytes: number
  /** One per class; empty for tasks without classes. */
  readonly labels: readonly (string | null)[]
}

export type CatalogErrorCode =
  | 'no-folder'
  | 'bad-manifest'
  | 'missing-file'
  | 'outside-folder'
  | 'size-mismatch'
  | 'digest-mismatch'
  | 'external-data'
  | 'bad-model'
  | 'bad-labels'
  | 'duplicate'

export class CatalogError extends Error {
  readonly code: CatalogErrorCode
  constructor(code: CatalogErrorCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'CatalogError'
    this.code = code
  }
}

export interface Catalog {
  list(): readonly ModelPackage[]
  /** `id` names its highest version. */
  resolve(idOrIdAtVersion: string): ModelPackage | undefined
}

/** `id@version`, as answers name their model. */
export const nameOf = ({ manifest }: Pick<ModelPackage, 'manifest'>): string => `${manifest.id}@${manifest.version}`

/** The path of a named file once it was checked, or a CatalogError: outside the folder, missing, or not the bytes the manifest promises. */
async function check(folder: string, ref: FileRef): Promise<string> {
  const named = join(folder, ref.path)
  const missing = (cause: unknown): never => {
    throw new CatalogError('missing-file', `${named} is named in model.json but cannot be read`, cause)
  }
  const path = await realpath(named).catch(missing)
  // Before a byte is read: what lies outside may be anything, and endless.
  if (!path.startsWith((await realpath(folder)) + sep))
    throw new CatalogError('outside-folder', `${named} leads out of its package, to ${path}`)
  const { size } = await stat(path).catch(missing)
  if (size !== ref.bytes)
    throw new CatalogError('size-mismatch', `${named} has ${size} bytes, model.json says ${ref.bytes}`)
  const { sha256 } = await digestOfFile(path, ref.bytes).catch(missing)
  if (sha256 !== ref.sha256)
    throw new CatalogError('digest-mismatch', `${named} has sha256 ${sha256}, model.json says ${ref.sha256}`)
  return path
}

/** A checked model file that holds all its data itself. */
async function checkModel(folder: string, ref: FileRef): Promise<string> {
  const path = await check(folder, ref)
  const fault = await faultOfModelFile(path)
  if (fault) throw new CatalogError(fault.code, `${path} ${fault.reason}`)
  return path
}

async function readManifestFile(folder: string): Promise<Manifest> {
  const file = join(folder, 'model.json')
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CatalogError('missing-file', `${file} cannot be read: ${folder} is no folder of a model package`, cause)
  })
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new CatalogError('bad-manifest', `${file} is not JSON: ${String(cause)}`, cause)
  }
  const read = readManifest(json)
  if (read.ok) return read.manifest
  throw new CatalogError('bad-manifest', `${file}: ${read.problems.join('; ')}`)
}

async function readLabels(folder: string, manifest: Manifest): Promise<readonly (string | null)[]> {
  if (!('labels' in manifest)) return []
  const path = await check(folder, manifest.labels.file)
  let labels: unknown
  try {
    labels = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new CatalogError('bad-labels', `${path} is not JSON`, cause)
  }
  const isLabels = (v: unknown): v is (string | null)[] =>
    Array.isArray(v) && v.every((label) => label === null || typeof label === 'string')
  if (!isLabels(labels)) throw new CatalogError('bad-labels', `${path} is not a list of names and nulls`)
  if (labels.length !== manifest.output.classes)
    throw new CatalogError(
      'bad-labels',
      `labels: ${path} has ${labels.length} labels, output.classes says ${manifest.output.classes}`,
    )
  return labels
}

/** One package, every file of it checked. */
export async function readPackage(packageFolder: string): Promise<ModelPackage> {
  const folder = resolve(packageFolder)
  const manifest = await readManifestFile(folder)
  const file = await checkModel(folder, manifest.file)
  if (manifest.quantization.fp32) await checkModel(folder, manifest.quantization.fp32)
  for (const { frame } of manifest.golden) await check(folder, frame)
  const labels = await readLabels(folder, manifest)
  return { manifest, folder, file, sha256: manifest.file.sha256, bytes: manifest.file.bytes, labels }
}

/** The unquantized sibling as a package of its own (version `x.y.z-fp32`, no golden cases), where there is one. */
export function fp32Of(pkg: ModelPackage): ModelPackage | undefined {
  const { fp32 } = pkg.manifest.quantization
  if (!fp32) return undefined
  const manifest: Manifest = {
    ...pkg.manifest,
    version: `${pkg.manifest.version}-fp32`,
    file: fp32,
    quantization: { kind: 'none' },
    golden: [],
  }
  return { ...pkg, manifest, file: join(pkg.folder, fp32.path), sha256: fp32.sha256, bytes: fp32.bytes }
}

const numbersOf = (version: string): number[] => version.split(/[.-]/, 3).map(Number)

/** By the three numbers; a pre-release comes before its release. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [numbersOf(a), numbersOf(b)]
  const at = x.findIndex((n, i) => n !== y[i])
  if (at >= 0) return (x[at] ?? 0) - (y[at] ?? 0)
  return Number(!a.includes('-')) - Number(!b.includes('-')) || a.localeCompare(b)
}

/** Reads every folder in `folder` that holds a model.json. One bad package is an error: nothing unchecked is served. */
export async function readCatalog(folder: string): Promise<Catalog> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: false }).catch((cause) => {
    throw new CatalogError('no-folder', `the model folder ${folder} cannot be read`, cause)
  })
  const packages: ModelPackage[] = []
  for (const entry of entries.filter((e) => e.isDirectory()).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const files = await readdir(join(folder, entry.name))
    if (files.includes('model.json')) packages.push(await readPackage(join(folder, entry.name)))
  }
  const byName = new Map<string, ModelPackage>()
  const newest = new Map<string, ModelPackage>()
  for (const pkg of packages) {
    const { id, version } = pkg.manifest
    const twin = byName.get(nameOf(pkg))
    if (twin) throw new CatalogError('duplicate', `${pkg.folder} and ${twin.folder} both hold ${nameOf(pkg)}`)
    byName.set(nameOf(pkg), pkg)
    const other = newest.get(id)
    if (!other || compareVersions(version, other.manifest.version) > 0) newest.set(id, pkg)
  }
  return { list: () => packages, resolve: (name) => byName.get(name) ?? newest.get(name) }
}
