// Which files of the native packages a board needs: sources, type declarations and the libraries of other systems stay here.
import { cpSync, lstatSync } from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from './elf.ts'
import { cpuOf } from './packages.ts'

interface Part {
  readonly name: string
  /** From the package's folder; absent: everything. */
  readonly paths?: readonly string[]
}

const ALWAYS = ['package.json', 'LICENSE', 'LICENSE.md']

export function partsFor(architecture: Architecture): readonly Part[] {
  const cpu = cpuOf(architecture)
  return [
    { name: 'better-sqlite3', paths: ['lib', `prebuilds/linux-${cpu}.node`] },
    { name: '@julusian/jpeg-turbo', paths: ['index.js', 'binding-options.js', `prebuilds/jpeg-turbo-linux-${cpu}`] },
    { name: 'pkg-prebuilds', paths: ['bindings.js', 'lib'] },
    { name: 'sharp', paths: ['dist', 'node_modules/semver'] },
    { name: '@img/colour' },
    { name: 'detect-libc', paths: ['lib'] },
    { name: `@img/sharp-linux-${cpu}` },
    { name: `@img/sharp-libvips-linux-${cpu}` },
    { name: 'onnxruntime-node', paths: ['dist', `bin/napi-v6/linux/${cpu}`] },
    { name: 'onnxruntime-common', paths: ['dist/cjs'] },
  ]
}

const LEFT_OUT = /\.(map|d\.ts|d\.mts|d\.cts|md)$/

const isWanted = (file: string): boolean => lstatSync(file).isDirectory() || !LEFT_OUT.test(file)

/** Copies the parts into `modules`, a node_modules folder. A path that a new version no longer has is an error. */
export function copyParts(architecture: Architecture, folderOf: (name: string) => string, modules: string): void {
  for (const { name, paths } of partsFor(architecture)) {
    const from = folderOf(name)
    const to = join(modules, name)
    if (paths === undefined) cpSync(from, to, { recursive: true, filter: isWanted })
    for (const path of paths ?? []) cpSync(join(from, path), join(to, path), { recursive: true, filter: isWanted })
    for (const path of ALWAYS)
      if (lstatSync(join(from, path), { throwIfNoEntry: false })) cpSync(join(from, path), join(to, path))
  }
}
