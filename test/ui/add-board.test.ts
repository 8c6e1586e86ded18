// The page "Add board" of a console that others can reach: the code to scan, the lines to run, and the board that comes.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import chromium from '@sparticuz/chromium'
import { type Browser, type Page, chromium as playwright } from 'playwright-core'
import sharp from 'sharp'
import { encode } from 'uqr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cardIn, cardLink } from '../../console/ui/card.ts'
import { readEnrolmentFile } from '../../firmware-scripts/boot/enrolment-file.ts'
import { type Bramble, freshFolder, ROOT, removeFolder, startBramble } from '../harness/bramble.ts'

const BROWSER_RUNS = process.platform === 'linux' && process.arch === 'x64'
const START_MS = 90_000
const WAIT_MS = 20_000
/** As boards elsewhere would dial it; nobody does here. */
const PUBLIC = 'http://fleet.example:8080'

let bramble: Bramble
let browser: Browser

/** Light around the code, which scanners need. */
const BORDER = 4

/** Dark and light modules as they stand on the screen, read from the middle of each, without the border. */
async function modulesOn(page: Page, size: number): Promise<boolean[][]> {
  const picture = await page.locator('.qr svg').screenshot()
  const { data, info } = await sharp(picture).greyscale().raw().toBuffer({ resolveWithObject: true })
  const at = (n: number, length: number): number => Math.floor(((n + 0.5) * length) / size)
  const lines = Array.from({ length: size }, (_, y) =>
    Array.from({ length: size }, (_, x) => (data[at(y, info.height) * info.width + at(x, info.width)] ?? 0) < 128),
  )
  return withoutBorder(lines)
}

const withoutBorder = (lines: readonly boolean[][]): boolean[][] =>
  lines.slice(BORDER, -BORDER).map((line) => line.slice(BORDER, -BORDER))

describe.runIf(BROWSER_RUNS)('the page "Add board" of a console that others can reach', () => {
  beforeAll(async () => {
    bramble = await startBramble({ flags: ['--agents', '0', '--no-demo', '--public-url', PUBLIC] })
    const args = chromium.args.filter((arg) => arg !== '--single-process')
    const executablePath = await chromium.executablePath()
    browser = await playwright.launch({ executablePath, args: [...args, '--no-sandbox'] })
  }, START_MS)
  afterAll(async () => {
    await browser?.close()
    await bramble?.stop()
    if (bramble) await removeFolder(bramble.data)
  }, START_MS)

  it('shows the file as a code, in the light and in the dark, the lines, and the board that comes', async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 1600 }, colorScheme: 'light' })
    context.setDefaultTimeout(WAIT_MS)
    const page = await context.newPage()
    await page.goto(`${bramble.ready.console.url}/#token=${bramble.ready.console.token}`)
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Devices' }).click()
    await page.getByRole('link', { name: 'Add board' }).first().click()
    await page.getByLabel('Name').fill('porch')
    await page.getByRole('button', { name: 'Make a token' }).click()
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download bramble.toml' }).click()
    const text = await readFile(await (await download).path(), 'utf8')
    const read = readEnrolmentFile(text)
    if (!read.ok) throw new Error('the file is none')
    const { token } = read.file
    expect(read.file).toEqual({ console: PUBLIC, token, name: 'porch' })

    const link = cardLink(PUBLIC, text)
    const { size, data } = encode(link, { border: BORDER })
    await page.getByRole('img', { name: 'QR code that opens this file' }).waitFor()
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await modulesOn(page, size), colorScheme).toEqual(withoutBorder(data))
    }
    expect(cardIn(new URL(link).hash)).toBe(text)

    const line = `bramble-agent enroll --console ${PUBLIC} --token ${token} --name porch`
    expect(await page.locator('.copy code').allTextContents()).toEqual([
      `sudo ${line}`,
      `npx ${line} && npx bramble-agent run`,
    ])

    const folder = await freshFolder()
    const words = line.split(' ').map((word) => (word === PUBLIC ? bramble.ready.console.url : word))
    await promisify(execFile)(process.execPath, [`${ROOT}agent/main.ts`, ...words.slice(1), '--data', folder])
    await page.getByRole('region', { name: 'New boards' }).getByRole('link', { name: 'porch' }).waitFor()
    await removeFolder(folder)
    await context.close()
  })
})
