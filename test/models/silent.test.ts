// ONNX Runtime reports what it does to its makers unless it is told not to. Whatever a run leaves behind is looked for where it
// would keep it: in the home folder and in the folder for temporary files.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, expect, test, vi } from 'vitest'
import { createHost } from '../../models/runtime/host.ts'
import { inPackage, shipped } from './zoo.ts'

const folder = mkdtempSync(join(tmpdir(), 'silent-'))
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

test('a run leaves nothing in the home folder and nothing among the temporary files', async () => {
  vi.stubEnv('HOME', folder)
  vi.stubEnv('TMPDIR', folder)
  const pkg = await shipped('fashion')
  const host = createHost({ log: pino({ level: 'silent' }), cacheFolder: join(folder, 'code') })
  await host.load(pkg)
  await host.run(pkg, { contentType: 'image/png', data: await inPackage(pkg, 'golden/coat.png') })
  await host.close()
  expect(readdirSync(folder).filter((name) => name !== 'code')).toEqual([])
})
