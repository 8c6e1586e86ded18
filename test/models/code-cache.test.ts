import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openCodeCache } from '../../models/runtime/code-cache.ts'

it('what a full disk left among the compiled code goes at the next start, and that of other releases of Node, and nothing else', () => {
  const data = mkdtempSync(join(tmpdir(), 'code-cache-'))
  try {
    const code = join(data, 'code')
    // Names as Node 24 gave them on a disk of 64 KiB.
    const ours = `${process.version}-x64-5309773e-0`
    for (const folder of [
      ours,
      'v24.3.0-x64-5309773e-0',
      'v22.17.1-pre-arm64-1c717fce-998',
      'debian-arm64-b45b9be5477f',
    ]) {
      mkdirSync(join(code, folder), { recursive: true })
      for (const name of ['11c5d5dd', '14a7895e', '01376b2a.2ODSpq', '01376b2a.jZtdMf'])
        writeFileSync(join(code, folder, name), '')
    }
    writeFileSync(join(data, 'identity.key'), '')
    expect(openCodeCache(code, data)).toBe(true)
    expect(readdirSync(code).sort()).toEqual(['debian-arm64-b45b9be5477f', ours])
    expect(readdirSync(join(code, ours)).sort()).toEqual(['11c5d5dd', '14a7895e'])
    expect(readdirSync(join(code, 'debian-arm64-b45b9be5477f'))).toHaveLength(4)
    expect(readdirSync(data).sort()).toEqual(['code', 'identity.key'])
  } finally {
    rmSync(data, { recursive: true })
  }
})
