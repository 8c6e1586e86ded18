import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openCodeCache } from '../../agent/code-cache.ts'

it('what a full disk left among the compiled code goes at the next start, and nothing else', () => {
  const data = mkdtempSync(join(tmpdir(), 'code-cache-'))
  try {
    // Names as Node 24 gave them on a disk of 64 KiB.
    const folder = join(data, 'code', 'v24.20.0-x64-5309773e-0')
    mkdirSync(folder, { recursive: true })
    for (const name of ['11c5d5dd', '14a7895e', '01376b2a.2ODSpq', '01376b2a.jZtdMf'])
      writeFileSync(join(folder, name), '')
    writeFileSync(join(data, 'identity.key'), '')
    expect(openCodeCache(join(data, 'code'), data)).toBe(true)
    expect(readdirSync(folder).sort()).toEqual(['11c5d5dd', '14a7895e'])
    expect(readdirSync(data).sort()).toEqual(['code', 'identity.key'])
  } finally {
    rmSync(data, { recursive: true })
  }
})
