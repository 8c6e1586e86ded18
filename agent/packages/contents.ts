// What is in a package against what its publisher signed: every file has the signed bytes, and model.json, which decides what is
// read of them, speaks of those files only.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Release, ReleaseFile } from '../../broker/protocol/packages.ts'
import { CatalogError, type CatalogErrorCode, type ModelPackage, readPackage } from '../../models/catalog.ts'
import { digestOfFile } from '../../models/file-digest.ts'
import { type FileRef, type Manifest, readManifest } from '../../models/manifest.ts'

export type Opened =
  | { readonly ok: true; readonly pkg: ModelPackage }
  /** `damaged`: the disk does not hold what was signed; `refused`: what was signed is not what this board runs. */
  | { readonly ok: false; readonly fault: 'damaged' | 'refused'; readonly reason: string }

const MIB = 1024 * 1024
/** What is read into memory as a whole. */
const LARGEST = { manifest: MIB, labels: 4 * MIB, golden: 16 * MIB } as const

/** The codes of the catalog that speak of the disk. Here the digests were compared with the signed ones before. */
const DAMAGES: ReadonlySet<CatalogErrorCode> = new Set([
  'missing-file',
  'size-mismatch',
  'digest-mismatch',
  'no-folder',
])

const refused = (reason: string): Opened => ({ ok: false, fault: 'refused', reason })
const damaged = (reason: string): Opened => ({ ok: false, fault: 'damaged', reason })

/** Why this list of files can be no package, before any of them is fetched. */
export function faultOfList({ files }: Release): string | undefined {
  const manifest = files.find(({ path }) => path === 'model.json')
  if ((manifest?.bytes ?? 0) > LARGEST.manifest) return `its model.json has more than ${LARGEST.manifest} bytes`
  const folder = files.find(({ path }) => files.some((other) => other.path.startsWith(`${path}/`)))
  return folder === undefined ? undefined : `it names ${folder.path} as a file and as a folder`
}

/** Reads every byte of the package in `folder`. Rejects only with faults of the disk. */
export async function openPackage(folder: string, release: Release): Promise<Opened> {
  const byPath = new Map(release.files.map((file) => [file.path, file]))
  const manifestFile = byPath.get('model.json')
  if (!manifestFile || !(await isWhole(folder, manifestFile))) return damaged('model.json is not as it was signed')
  const manifest = await manifestIn(folder)
  if (typeof manifest === 'string') return refused(manifest)
  const fault = faultOfManifest(manifest, release, byPath)
  if (fault !== undefined) return refused(fault)
  const named = new Set(refsOf(manifest).map(({ path }) => path))
  for (const file of release.files)
    if (!named.has(file.path) && !(await isWhole(folder, file))) return damaged(`${file.path} is not as it was signed`)
  try {
    return { ok: true, pkg: await readPackage(folder) }
  } catch (error) {
    if (!(error instanceof CatalogError)) throw error
    return DAMAGES.has(error.code) ? damaged(error.message) : refused(error.message)
  }
}

async function isWhole(folder: string, { path, sha256, bytes }: ReleaseFile): Promise<boolean> {
  const found = await digestOfFile(join(folder, path), bytes).catch(() => undefined)
  return found?.sha256 === sha256
}

async function manifestIn(folder: string): Promise<Manifest | string> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8'))
  } catch {
    return 'its model.json is not JSON'
  }
  const read = readManifest(json)
  return read.ok ? read.manifest : `its model.json cannot be used here: ${read.problems.join('; ')}`
}

/** Every file that a manifest speaks of. */
export const refsOf = (manifest: Manifest): readonly FileRef[] => [
  manifest.file,
  ...(manifest.quantization.fp32 ? [manifest.quantization.fp32] : []),
  ...('labels' in manifest ? [manifest.labels.file] : []),
  ...manifest.golden.map(({ frame }) => frame),
]

function faultOfManifest(manifest: Manifest, release: Release, byPath: ReadonlyMap<string, ReleaseFile>) {
  if (manifest.id !== release.id || manifest.version !== release.version)
    return `its model.json says ${manifest.id}@${manifest.version}, the release ${release.id}@${release.version}`
  const other = refsOf(manifest).find(({ path, sha256, bytes }) => {
    const signed = byPath.get(path)
    return signed?.sha256 !== sha256 || signed.bytes !== bytes
  })
  if (other) return `its model.json names ${other.path} with a digest or size that is not signed`
  if ('labels' in manifest && manifest.labels.file.bytes > LARGEST.labels) return 'its labels are too large'
  const golden = manifest.golden.find(({ frame }) => frame.bytes > LARGEST.golden)
  return golden === undefined ? undefined : `its golden frame ${golden.frame.path} is too large`
}
