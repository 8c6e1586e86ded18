// The flow of the README in a real Node-RED, against a real board on a real mosquitto. Node-RED is no part of this project: set
// BRAMBLE_NODE_RED to its red.js (npm install --prefix DIR node-red; DIR/node_modules/node-red/red.js), or have it on the PATH.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it, onTestFinished } from 'vitest'
import { runAgent } from '../agent/board.ts'
import { missing, startMosquitto } from '../broker/programs.ts'
import { need } from './needs.ts'

function findNodeRed(): string | undefined {
  const named = process.env['BRAMBLE_NODE_RED']
  if (named !== undefined) return named
  try {
    return realpathSync(
      execFileSync('which', ['node-red'], { stdio: ['ignore', 'pipe', 'ignore'] })
        .toString()
        .trim(),
    )
  } catch {
    return undefined
  }
}
const NODE_RED = findNodeRed()
const FLOW = new URL('../fixtures/node-red/flow.json', import.meta.url)
const PHOTO = new URL('../../models/ssd-mobilenet-v1/golden/chelsea.jpg', import.meta.url).pathname

/** Only what differs on this machine: the broker's port and the photo. */
const flowFor = (url: string): string =>
  readFileSync(FLOW, 'utf8')
    .replace('"1883"', JSON.stringify(new URL(url).port))
    .replace('/home/pi/photo.jpg', PHOTO)

/** Node-RED without its editor, telling on stdout what its debug nodes see. */
function startNodeRed(folder: string, flow: string) {
  const settings = join(folder, 'settings.js')
  writeFileSync(join(folder, 'flow.json'), flow)
  const telemetry = { enabled: false, updateNotification: false }
  const own = { flowFile: join(folder, 'flow.json'), userDir: folder, uiPort: 0, uiHost: '127.0.0.1', telemetry }
  writeFileSync(settings, `module.exports = ${JSON.stringify({ ...own, disableEditor: true })}`)
  const child = spawn(process.execPath, [NODE_RED ?? '', '--settings', settings], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return createInterface({ input: child.stdout })
}

it('Node-RED asks a board what is on a photo, and hears it', async (context) => {
  need(context, NODE_RED ? undefined : 'skipped: node-red is not installed (set BRAMBLE_NODE_RED to its red.js)')
  need(context, missing.mosquitto)
  const folder = mkdtempSync(join(tmpdir(), 'node-red-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const { url } = await startMosquitto()
  const flags = ['--data', join(folder, 'board'), '--mqtt-url', url, '--device', 'my-board']
  const board = runAgent(['run', ...flags, '--serve', 'ssd-mobilenet-v1'])
  onTestFinished(() => void board.child.kill('SIGKILL'))
  await board.logged('"serving"')
  const seen = new Promise<string>((resolve) => {
    startNodeRed(folder, flowFor(url)).on('line', (line) => {
      if (line.includes('[debug:seen]')) resolve(line)
    })
  })
  expect(await seen).toContain('cat 69 %')
})
