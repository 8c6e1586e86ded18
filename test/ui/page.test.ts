// The page as a person meets it: a real `bramble up` with its boards, broker and chain, seen through a real browser.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import chromium from '@sparticuz/chromium'
import { type Browser, type Page, chromium as playwright } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cardLink } from '../../console/ui/card.ts'
import { readEnrolmentFile } from '../../firmware-scripts/boot/enrolment-file.ts'
import { type Bramble, freshFolder, ROOT, removeFolder, startBramble } from '../harness/bramble.ts'

/** The bundled browser is built for this machine only; elsewhere these tests say that they were skipped. */
const BROWSER_RUNS = process.platform === 'linux' && process.arch === 'x64'
/** The first start builds the page and loads the models beside a browser that is being unpacked. */
const START_MS = 90_000
const WAIT_MS = 20_000
/** Settled early and often, so that nobody waits a minute. */
const SOON = ['--hold-s', '1', '--settle-every-s', '3']

/** The longest there may be, and nowhere to break it. */
const LONGEST = 'w'.repeat(63)

let bramble: Bramble
let browser: Browser
let page: Page
const complaints: string[] = []

async function openPage(width: number, colorScheme: 'light' | 'dark'): Promise<Page> {
  const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme })
  context.setDefaultTimeout(WAIT_MS)
  const opened = await context.newPage()
  opened.on('pageerror', (error) => complaints.push(error.message))
  opened.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
  return opened
}

const enter = async (opened: Page): Promise<void> => {
  await opened.goto(`${bramble.ready.console.url}/#token=${bramble.ready.console.token}`)
  await opened.getByRole('link', { name: 'Overview' }).waitFor()
}

const goTo = (opened: Page, name: string): Promise<void> =>
  opened.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name }).click()

/** What a screen reader would stumble over, asked of the document itself. */
const FAULTS = `(() => {
  const nameOf = (e) => (e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.textContent ?? '').trim()
  const seen = (e) => e.getClientRects().length > 0
  const all = (query) => [...document.querySelectorAll(query)].filter(seen)
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id)
  return [
    ...all('a, button, input, select, summary').filter((e) => nameOf(e) === '').map((e) => 'no name: ' + e.outerHTML),
    ...all('img').filter((e) => !e.alt).map((e) => 'no alt: ' + e.outerHTML),
    ...all('[style]:not(.uplot *, .uplot)').map((e) => 'inline style: ' + e.outerHTML.slice(0, 90)),
    ...(document.querySelectorAll('h1').length === 1 ? [] : ['not one h1']),
    ...(document.documentElement.lang ? [] : ['no language']),
    ...ids.filter((id, n) => ids.indexOf(id) !== n).map((id) => 'id twice: ' + id),
    ...(document.documentElement.scrollWidth > innerWidth ? ['wider than the screen: ' + document.documentElement.scrollWidth] : []),
  ]
})()`
const faultsOf = (opened: Page): Promise<string[]> => opened.evaluate<string[]>(FAULTS)

describe.runIf(BROWSER_RUNS)('the page of a running console', () => {
  beforeAll(async () => {
    bramble = await startBramble({ flags: SOON })
    browser = await playwright.launch({
      executablePath: await chromium.executablePath(),
      // One process for everything cannot open a second window.
      args: [
        ...chromium.args.filter((arg) => arg !== '--single-process'),
        '--no-sandbox',
        '--disable-background-networking',
      ],
    })
    page = await openPage(1280, 'light')
    await enter(page)
  }, START_MS)

  afterAll(async () => {
    await browser?.close()
    await bramble?.stop()
    if (bramble) await removeFolder(bramble.data)
  }, START_MS)

  it('asks for the token without one, refuses a wrong one, and takes the right one out of the address', async () => {
    const stranger = await browser.newPage()
    await stranger.goto(bramble.ready.console.url)
    await stranger.getByText('ready.json').waitFor()
    await stranger.goto(`${bramble.ready.console.url}/#token=wrong`)
    await stranger.getByRole('alert').getByText('does not know this token').waitFor()
    await enter(stranger)
    expect(stranger.url()).not.toContain(bramble.ready.console.token)
    await stranger.close()
  })

  it('shows on the overview both boards, nothing lost, and an answer drawn over its frame', async () => {
    await page.locator('.strip .boxes .box').first().waitFor()
    await page.getByText('2 working').waitFor()
    expect(await page.getByRole('region', { name: 'Lost' }).locator('.stat-value').textContent()).toBe('0')
    const [picture, box] = await Promise.all([
      page.locator('.picture:has(.box) img').first().boundingBox(),
      page.locator('.picture .box').first().boundingBox(),
    ])
    if (!picture || !box) throw new Error('nothing is drawn')
    expect(box.width).toBeGreaterThan(20)
    expect(box.x).toBeGreaterThanOrEqual(picture.x - 1)
    expect(box.x + box.width).toBeLessThanOrEqual(picture.x + picture.width + 1)
    expect(await faultsOf(page)).toEqual([])
  })

  it('renews its answers without a reload', async () => {
    const tile = '.strip .tile-link'
    const before = await page.locator(tile).evaluateAll((links) => links.map((link) => link.getAttribute('href')))
    const another = before.map((href) => `:not([href="${href}"])`).join('')
    await page
      .locator(tile + another)
      .first()
      .waitFor()
  })

  it('opens a board with its facts, clocks, live frame and receipts', async () => {
    await goTo(page, 'Devices')
    await page.getByRole('row').nth(2).waitFor()
    expect(await faultsOf(page)).toEqual([])
    await page.getByRole('link', { name: bramble.ready.devices[0]!.name }).click()
    for (const text of ['ONNX Runtime', 'Heartbeat', 'ssd-mobilenet-v1']) await page.getByText(text).first().waitFor()
    await page.locator('.live .picture img').waitFor()
    await page.getByRole('table', { name: 'Receipts' }).getByText('Credited').first().waitFor()
    expect(await faultsOf(page)).toEqual([])
  })

  it('opens a task with its frame and its JSON, and closes it with Escape', async () => {
    await goTo(page, 'Tasks')
    await page.getByRole('button', { name: 'Hold still' }).click()
    await page.getByRole('table').locator('.row-link').first().click()
    const dialog = page.getByRole('dialog')
    await dialog.locator('img').waitFor()
    await dialog.getByText('The answer as JSON').click()
    const json = JSON.parse((await dialog.locator('pre').textContent()) ?? '')
    expect(json).toMatchObject({ device: expect.stringMatching(/^dev-/), ms: { infer: expect.any(Number) } })
    expect(await faultsOf(page)).toEqual([])
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    await page.waitForURL('**/tasks')
  })

  it('chooses a version for every board, sees it arrive, and takes it back', async () => {
    await goTo(page, 'Models')
    const card = page.getByRole('region', { name: 'Fashion-MNIST' })
    await card.getByText(/^No version is set; boards serve what is in their own folders: 1\.0\.0 on 2 boards/).waitFor()
    await card.getByRole('button', { name: 'Serve 1.0.0' }).click()
    const question = page.getByRole('dialog')
    await question.getByLabel('Where').selectOption({ label: 'On every board' })
    expect(await faultsOf(page)).toEqual([])
    await question.getByRole('button', { name: 'Tell the boards' }).click()
    await question.waitFor({ state: 'detached' })
    await card.getByText('2 of 2 boards serve 1.0.0.').waitFor()
    expect(await card.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('100')
    await card.getByText('2 boards', { exact: true }).last().click()
    await card.getByRole('table', { name: 'Boards of this model' }).getByText('Serving').nth(1).waitFor()
    expect(await faultsOf(page)).toEqual([])
    await card.getByRole('button', { name: /Back to the boards/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click()
    await card.getByText(/^No version is set/).waitFor()
  })

  it('follows the money to a transaction, and the ledger adds up', async () => {
    await goTo(page, 'Earnings')
    await page.getByRole('button', { name: 'Check the ledger' }).click()
    await page.getByText('The money adds up.').waitFor()
    await page.locator('.epoch', { hasText: '1 payout' }).last().locator('summary').click()
    const payout = page.locator('.payout').first()
    await payout.locator('summary').click()
    await payout.getByText('Paid', { exact: true }).waitFor()
    expect(await faultsOf(page)).toEqual([])
    await payout.getByText('Look at the transaction').click()
    await page.getByText('SPL Token: TransferChecked').first().waitFor()
    await page.getByText(/^bramble:e\d+-\d+:/).waitFor()
    expect(await page.getByRole('row').count(), 'a head, the treasury and a wallet').toBeGreaterThan(2)
    expect(await faultsOf(page)).toEqual([])
  }, 45_000)

  it('makes the file that lets a new board in, and shows the board as soon as it used it', async () => {
    await goTo(page, 'Devices')
    await page.getByRole('link', { name: 'Add board' }).click()
    await page.getByLabel('Name').fill('porch')
    await page.getByText('Wi-Fi, for a board').click()
    await page.getByLabel('Network').fill('My "home"')
    await page.getByLabel('Password').fill('a secret of mine')
    const bodies: string[] = []
    page.on('request', (request) => bodies.push(request.postData() ?? ''))
    await page.getByRole('button', { name: 'Make a token' }).click()
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download bramble.toml' }).click()
    const read = readEnrolmentFile(await readFile(await (await download).path(), 'utf8'))
    const { url } = bramble.ready.console
    const wifi = { ssid: 'My "home"', password: 'a secret of mine' }
    expect(read).toMatchObject({ ok: true, file: { console: url, name: 'porch', wifi } })
    expect(bodies.join()).not.toContain(wifi.password)
    const line = /^sudo bramble-agent enroll --console (\S+) --token bre_\S+ --name porch$/
    expect(line.exec((await page.locator('.copy code').first().textContent()) ?? '')?.[1]).toBe(url)
    await page.getByText('listens to its own machine only').waitFor()
    expect(await faultsOf(page)).toEqual([])
    if (!read.ok) return
    const folder = await freshFolder()
    const args = [`${ROOT}agent/main.ts`, 'enroll', '--data', folder, '--console', url, '--name', LONGEST]
    await promisify(execFile)(process.execPath, args, { env: { ...process.env, BRAMBLE_TOKEN: read.file.token } })
    await page.getByRole('region', { name: 'New boards' }).getByRole('link', { name: LONGEST }).waitFor()
    await removeFolder(folder)
    await goTo(page, 'Devices')
    await page.getByLabel('Find a board').fill('never connected')
    expect(await page.getByRole('row').count(), 'the heading and the board that never came').toBe(2)
    expect(await faultsOf(page)).toEqual([])
  })

  it('offers the file of a scanned code to whoever has it, without the console’s token', async () => {
    const visitor = await openPage(360, 'dark')
    const text = 'console = "http://10.0.0.2:8080"\r\ntoken = "t"\r\nname = "größer"\r\n'
    await visitor.goto(cardLink(bramble.ready.console.url, text))
    const download = visitor.waitForEvent('download')
    await visitor.getByRole('button', { name: 'Download bramble.toml' }).click()
    expect(await readFile(await (await download).path(), 'utf8')).toBe(text)
    expect(await faultsOf(visitor)).toEqual([])
    await visitor.context().close()
  })

  it.each(['Overview', 'Devices', 'Tasks', 'Models', 'Earnings'])('fits %s on 360 px in the dark', async (name) => {
    const narrow = await openPage(360, 'dark')
    await enter(narrow)
    await goTo(narrow, name)
    await narrow.getByRole('heading', { level: 1, name }).waitFor({ state: 'attached' })
    await narrow.locator('.strip, .table').first().waitFor()
    expect(await faultsOf(narrow)).toEqual([])
    await narrow.context().close()
  })

  it('takes a board that never came from the list', async () => {
    await goTo(page, 'Devices')
    await page.getByRole('link', { name: LONGEST }).click()
    await page.getByRole('button', { name: 'Remove board' }).click()
    expect(await faultsOf(page)).toEqual([])
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
    await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor()
    expect(await page.getByRole('link', { name: LONGEST }).count()).toBe(0)
    await page.reload()
    await page.getByRole('link', { name: bramble.ready.devices[0]!.name }).waitFor()
    expect(await page.getByRole('link', { name: LONGEST }).count()).toBe(0)
  })

  it('has said nothing to the browser that is an error', () => {
    expect(complaints).toEqual([])
  })

  it('keeps the last known state on the screen when the console goes away, and says since when', async () => {
    await goTo(page, 'Overview')
    await page.locator('.strip img').first().waitFor()
    await bramble.stop()
    await page
      .getByRole('alert')
      .getByText(/Console unreachable since \d\d:\d\d:\d\d, showing the last known state/)
      .waitFor()
    expect(await page.locator('.strip img').count()).toBeGreaterThan(0)
    expect(await faultsOf(page)).toEqual([])
  })
})
