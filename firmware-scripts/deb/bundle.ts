// The agent as three files: the agent itself, its inference process, the first-boot program. Native modules stay outside.
import { join } from 'node:path'
import { type RolldownOutput, rolldown } from 'rolldown'

/** What holds native code is loaded from node_modules; ws tries the last two and goes on without them. */
const EXTERNAL = [
  'better-sqlite3',
  /^better-sqlite3\//,
  'sharp',
  'onnxruntime-node',
  '@julusian/jpeg-turbo',
  'bufferutil',
  'utf-8-validate',
]

/** From the root of the repository to the folder `agent` of the package, whose places relative to models/ are the same. */
export const PROGRAMS = {
  'main.js': 'agent/main.ts',
  'host-process.js': 'models/runtime/host-process.ts',
  'boot.js': 'firmware-scripts/boot/main.ts',
} as const

/** Writes one file per program into `folder`; `folder` and `root` are absolute. */
export async function bundle(root: string, folder: string): Promise<void> {
  for (const [name, source] of Object.entries(PROGRAMS)) {
    const build = await rolldown({
      input: join(root, source),
      cwd: root,
      platform: 'node',
      external: EXTERNAL,
      // A warning is an import that would fail on the board.
      onLog: (level, log) => {
        if (level === 'warn' && log.code !== 'EVAL') throw new Error(`${source} does not bundle: ${log.message}`)
      },
    })
    const written = await build.write({
      file: join(folder, name),
      format: 'esm',
      codeSplitting: false,
      // V8 keeps the source, and in two bytes a character if only one of them needs it: 1.1 MiB of a small board.
      charset: 'ascii',
      minify: { compress: true, mangle: false, codegen: true },
      comments: { legal: true },
    })
    await build.close()
    refuseStrangers(name, written)
  }
}

const isExternal = (id: string): boolean =>
  id.startsWith('node:') || EXTERNAL.some((one) => (typeof one === 'string' ? one === id : one.test(id)))

/** Older packages import Node's own modules without `node:`; what was a dynamic import names the file itself. */
function refuseStrangers(name: string, { output }: RolldownOutput): void {
  if (output.length !== 1) throw new Error(`${name} came out as ${output.length} files`)
  const imports = output.flatMap((chunk) => (chunk.type === 'chunk' ? [...chunk.imports, ...chunk.dynamicImports] : []))
  const strangers = imports.filter((id) => id !== name && !isExternal(id) && !process.getBuiltinModule(id))
  if (strangers.length > 0) throw new Error(`${name} would need ${strangers.join(', ')} on the board`)
}
