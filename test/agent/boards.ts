// The written trees of /proc and /sys, and trees for one test.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openTree, type Tree } from '../../agent/presence/sysfs.ts'

/** Written after documentation, not recorded on hardware: see the README beside them. */
export const BOARDS = ['pi-3b', 'pi-4b', 'pi-5', 'zero-2w', 'orin-nano', 'agx-orin', 'pc-rapl'] as const

export const boardTree = (name: (typeof BOARDS)[number]): Tree =>
  openTree(fileURLToPath(new URL(`../fixtures/sysfs/${name}`, import.meta.url)))

const folders: string[] = []

export async function makeTree(files: Readonly<Record<string, string>>): Promise<Tree> {
  const root = await mkdtemp(join(tmpdir(), 'sysfs-'))
  folders.push(root)
  await writeTree(root, files)
  return openTree(root)
}

export async function writeTree(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
}

export const removeTrees = (): Promise<unknown> =>
  Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })))
