// Versions of the agent for tests: the real bundle under another number, with lines before its first one where something is to go wrong.
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeKey } from '../../console/up/models-sign.ts'
import type { Architecture } from '../../firmware-scripts/deb/elf.ts'
import { RELEASE_FILE, readKey, signFolder } from '../../firmware-scripts/release/signing.ts'
import { ROOT } from '../harness/bramble.ts'

export const PUBLISHER = 'acme'

/** `publicKey` as boards and consoles are given it; releases lie in folders of `work`. */
export async function createVersions(work: string, architecture: Architecture) {
  const keyFile = join(work, 'key.pem')
  const publicKey = await makeKey(keyFile)
  const key = readKey(keyFile)
  const args = ['--arch', architecture, '--key', keyFile, '--publisher', PUBLISHER, '--out', work]
  const built = execFileSync(process.execPath, ['firmware-scripts/release/main.ts', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
  return {
    publicKey,
    make(version: string, lines = ''): string {
      const folder = join(work, version)
      cpSync(built, folder, { recursive: true })
      rmSync(join(folder, RELEASE_FILE))
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'bramble-agent', version, type: 'module' }))
      const main = join(folder, 'agent/main.js')
      writeFileSync(main, lines + readFileSync(main, 'utf8'))
      signFolder({ folder, architecture, version, publisher: PUBLISHER, key, now: Date.now() })
      return folder
    },
  }
}
