// A package folder as the list of files that a release of it names.
import { readdir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { Release, type ReleaseFile } from '../../broker/protocol/packages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import { digestOfFile } from '../../models/file-digest.ts'
import { RegistryError } from './registry-error.ts'

/** Left behind by editors and file managers, and no part of a package. */
const isHidden = (path: string): boolean => path.split('/').some((part) => part.startsWith('.'))

/** Every regular file of the folder but hidden ones, by path. */
export async function filesOf(folder: string): Promise<ReleaseFile[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !isHidden(path))
    .sort()
  const files: ReleaseFile[] = []
  for (const path of paths) files.push({ path, ...(await digestOfFile(join(folder, path), Number.MAX_SAFE_INTEGER)) })
  return files
}

/** What a publisher signs for this package. Rejects with RegistryError when it cannot be a release. */
export async function releaseOf(pkg: ModelPackage, publisher: string, at: number): Promise<Release> {
  const { id, version } = pkg.manifest
  const files = await filesOf(pkg.folder)
  const parsed = Release.safeParse({ id, version, publisher, at: new Date(at).toISOString(), files })
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const path = issue?.path[0] === 'files' ? files[Number(issue.path[1])]?.path : undefined
  const what = path === undefined ? (issue?.message ?? 'is wrong') : `"${path}": ${issue?.message ?? 'is wrong'}`
  throw new RegistryError('bad-package', `${pkg.folder} cannot be a release: ${what}`)
}
