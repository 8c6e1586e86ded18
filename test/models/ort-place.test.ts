import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findOrt } from '../../models/runtime/ort-place.ts'

let own: string
beforeEach(() => {
  own = mkdtempSync(join(tmpdir(), 'bramble-ort-'))
})
afterEach(() => rmSync(own, { recursive: true }))

const ours = findOrt('/nowhere')

function build(manifest: string): string {
  const folder = join(own, 'node_modules/onnxruntime-node')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), manifest)
  writeFileSync(join(folder, 'index.js'), "module.exports = 'built for this board'\n")
  return folder
}

test('a board without a build of its own uses what the agent brought', () => {
  expect(ours.version).toMatch(/^\d+\.\d+\.\d+$/)
  expect(findOrt(own)).toMatchObject({ folder: ours.folder, version: ours.version })
  expect(findOrt(own)).not.toHaveProperty('passedOver')
})

test('a build of its own is used while it is of the version that the agent brought', () => {
  const folder = build(JSON.stringify({ name: 'onnxruntime-node', version: ours.version, main: 'index.js' }))
  const found = findOrt(own)
  expect(found).toMatchObject({ folder, version: ours.version })
  expect(found.require('onnxruntime-node')).toBe('built for this board')
})

test.each([
  ['of another version', '{"name":"onnxruntime-node","version":"0.9.9"}', 'is of 0.9.9'],
  ['damaged', '{"version', 'is damaged'],
])('a build of its own that is %s is passed over with the reason', (_, manifest, what) => {
  build(manifest)
  expect(findOrt(own)).toMatchObject({
    folder: ours.folder,
    passedOver: `the ONNX Runtime in ${own} ${what}, and this agent needs ${ours.version}: build that`,
  })
})
