import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { OUTBOX_READS } from '../../agent/outbox/migrations.ts'
import type { SoftwareRelease } from '../../broker/protocol/software.ts'
import { readCatalog } from '../../models/catalog.ts'
import {
  type Console,
  createPublisher,
  type Files,
  MODELS,
  removeFolders,
  sha256,
  startConsole,
  temporaryFolder,
  whole,
} from './packages-rig.ts'
import { createSoftwareBoard, installPackage, type SoftwareBoard, started, versionFiles } from './software-rig.ts'

const acme = createPublisher()
const stranger = createPublisher('evil')
let console: Console
let data: string
let packaged: string
const boards: SoftwareBoard[] = []

beforeAll(async () => {
  // Its own publishers have no say in software.
  console = await startConsole([stranger])
})
afterAll(async () => {
  await console.close()
  await removeFolders()
})
beforeEach(async () => {
  data = join(await temporaryFolder(), 'data')
  packaged = await temporaryFolder()
  installPackage(packaged, versionFiles('0.1.0'), `${acme.id}:${acme.key}\n`)
  console.asked.splice(0)
})
afterEach(async () => {
  for (const board of boards.splice(0)) await board.stop()
  console.wantSoftware()
})

function board(more: Partial<Parameters<typeof createSoftwareBoard>[0]> = {}): SoftwareBoard {
  const made = createSoftwareBoard({ url: console.url, data, packaged, ...more })
  boards.push(made)
  return made
}
const offer = (name: string, files: Files = versionFiles(name), bend?: (release: SoftwareRelease) => void) =>
  console.offerSoftware(name, files, acme.signSoftware(name, files, bend))
const at = (name: string): string => join(data, 'software', name)
const slot = (): string | undefined => (existsSync(at('current')) ? readlinkSync(at('current')) : undefined)

/** A board that follows the console's wish to its end, and is stopped. */
async function updated(name: string, more?: Parameters<typeof board>[0]): Promise<SoftwareBoard> {
  console.wantSoftware(offer(name))
  const one = board(more)
  await one.start()
  await one.replaced
  await one.stop()
  return one
}
/** The new version has shown itself well. */
const confirm = (): void => {
  writeFileSync(at('confirmed'), readFileSync(at('trial')))
  truncateSync(at('trial'))
}

describe('a board', () => {
  test('gets what the console wants, of which it fetches only what it has not, and the next start tries it', async () => {
    const one = await updated('0.2.0')
    const files = versionFiles('0.2.0')
    expect(console.fetched()).toEqual([sha256(files.get('agent/main.js')!)])
    for (const [path, bytes] of files) expect(readFileSync(join(at('a'), path)).equals(bytes), path).toBe(true)
    expect(statSync(join(at('a'), 'node')).mode & 0o777).toBe(0o700)
    expect(statSync(join(at('a'), 'package.json')).mode & 0o777).toBe(0o600)
    expect(one.states.map(({ state, wanted }) => [state, wanted?.state])).toEqual([
      ['packaged', 'downloading'],
      ['packaged', 'switching'],
    ])
    expect(started(packaged, data)).toBe('0.2.0')
    expect(readdirSync(at('.')).filter((name) => name.startsWith('.'))).toEqual([])
  })

  test('fills the other slot from the first, and names the same bytes twice', async () => {
    await updated('0.2.0')
    confirm()
    await updated('0.3.0')
    expect(slot()).toBe('b')
    expect(console.fetched()).toHaveLength(2)
    expect(statSync(join(at('b'), 'node')).ino).toBe(statSync(join(at('a'), 'node')).ino)
    expect(started(packaged, data)).toBe('0.3.0')
  })

  test('goes back to an older version without a download, and says which release it runs', async () => {
    await updated('0.2.0')
    confirm()
    await updated('0.3.0')
    confirm()
    const wanted = offer('0.2.0')
    console.wantSoftware(wanted)
    console.asked.splice(0)
    const one = board()
    await one.start()
    await one.replaced
    expect(console.asked.map(({ path }) => path)).toEqual(['/boards/desired'])
    expect(slot()).toBe('a')
    expect(started(packaged, data)).toBe('0.2.0')
    expect(board().software.state()).toMatchObject({ state: 'trial', release: wanted.release })
    confirm()
    expect(board().software.state()).toMatchObject({ state: 'confirmed', release: wanted.release })
  })

  test('does not trust an older version on its card any more than one from the network', async () => {
    await updated('0.2.0')
    confirm()
    await updated('0.3.0')
    confirm()
    const main = join(at('a'), 'agent/main.js')
    writeFileSync(main, readFileSync(main, 'utf8').replace('x', 'y'))
    console.asked.splice(0)
    await updated('0.2.0')
    expect(console.fetched()).toEqual([sha256(versionFiles('0.2.0').get('agent/main.js')!)])
    expect(started(packaged, data)).toBe('0.2.0')
  })

  test('goes on with a file where it broke off, also after a restart', async () => {
    const files = versionFiles('0.2.0', 512)
    const main = files.get('agent/main.js')!
    const half = main.byteLength >> 1
    console.wantSoftware(offer('0.2.0', files))
    console.lie(sha256(main), (_, response, bytes) => {
      response.writeHead(200, { 'content-length': bytes.byteLength })
      response.write(bytes.subarray(0, half), () => response.destroy())
    })
    const one = board()
    await one.start()
    const { wanted } = await one.until((state) => state.wanted?.reason !== undefined)
    expect(wanted).toMatchObject({ state: 'downloading', reason: expect.stringMatching(/broke off after \d+ of/) })
    expect(wanted?.done).toBeGreaterThan(0.3)
    await one.stop()
    console.lie(sha256(main))
    const two = board()
    await two.start()
    await two.replaced
    const ranges = console.asked.flatMap(({ range }) => range ?? [])
    expect(ranges).toEqual([expect.stringMatching(/^bytes=[1-9]\d+-$/)])
    expect(started(packaged, data)).toBe('0.2.0')
  })

  test('waits until nothing is in hand, but not for ever', async () => {
    console.wantSoftware(offer('0.2.0'))
    let isCalm = false
    const one = board({ calm: () => isCalm })
    await one.start()
    await one.until(({ wanted }) => wanted?.state === 'switching')
    await one.advance(60_000)
    expect(slot()).toBeUndefined()
    isCalm = true
    await one.advance(1_000)
    await one.replaced
    expect(slot()).toBe('a')
  })

  test('that is never idle switches after ten minutes', async () => {
    console.wantSoftware(offer('0.2.0'))
    const one = board({ calm: () => false })
    await one.start()
    await one.until(({ wanted }) => wanted?.state === 'switching')
    await one.advance(599_000)
    expect(slot()).toBeUndefined()
    await one.advance(2_000)
    await one.replaced
  })

  test('drops a download that is not wanted any more', async () => {
    const files = versionFiles('0.2.0', 64)
    const never = Promise.withResolvers<void>()
    console.lie(sha256(files.get('agent/main.js')!), () => never.resolve())
    console.wantSoftware(offer('0.2.0', files))
    const one = board()
    await one.start()
    await never.promise
    console.wantSoftware(offer('0.3.0'))
    await one.ask()
    await one.replaced
    expect(readdirSync(at('.')).filter((name) => name.startsWith('.'))).toEqual([])
    expect(started(packaged, data)).toBe('0.3.0')
    console.lie(sha256(files.get('agent/main.js')!))
  })

  test('without a wish stays as it is, and asks nothing', async () => {
    const one = board()
    await one.start()
    expect(one.software.state()).toEqual({
      version: 'packaged',
      arch: expect.any(String),
      state: 'packaged',
      outboxReads: OUTBOX_READS,
    })
    expect(one.states).toEqual([])
  })
})

describe('a board refuses', () => {
  async function refused(more?: Parameters<typeof board>[0]) {
    const one = board(more)
    await one.start()
    const { wanted } = await one.until((state) => state.wanted?.state === 'refused')
    expect(slot()).toBeUndefined()
    expect(existsSync(at('trial'))).toBe(false)
    return wanted?.reason
  }

  test('everything while it trusts nobody, and says what to do', async () => {
    installPackage(packaged, versionFiles('0.1.0'))
    writeFileSync(join(packaged, 'software-keys'), '# nobody\n')
    console.wantSoftware(offer('0.2.0'))
    expect(await refused()).toMatch(/trusts no publisher of software: .*BRAMBLE_TRUST_SOFTWARE=ID:KEY/)
    expect(console.asked.map(({ path }) => path)).toEqual(['/boards/desired'])
  })

  test('nothing of whom its owner trusts by a setting', async () => {
    const files = versionFiles('0.2.0')
    console.wantSoftware(console.offerSoftware('0.2.0', files, stranger.signSoftware('0.2.0', files)))
    const one = board({ settings: { BRAMBLE_TRUST_SOFTWARE: `${stranger.id}:${stranger.key}` } })
    await one.start()
    await one.replaced
    expect(started(packaged, data)).toBe('0.2.0')
  })

  test('a setting that is no key, and trusts the package all the same', async () => {
    console.wantSoftware(offer('0.2.0'))
    const one = board({ settings: { BRAMBLE_TRUST_SOFTWARE: 'acme' } })
    await one.start()
    await one.replaced
  })

  test('a publisher that only the console trusts', async () => {
    const files = versionFiles('0.2.0')
    console.wantSoftware(console.offerSoftware('0.2.0', files, stranger.signSoftware('0.2.0', files)))
    expect(await refused()).toBe('its publisher is not one whose software this board trusts')
  })

  test('a signature that is not its publisher’s', async () => {
    const files = versionFiles('0.2.0')
    const forged = stranger.signSoftware('0.2.0', files, (release) => {
      release.publisher = acme.id
    })
    console.wantSoftware(console.offerSoftware('0.2.0', files, forged))
    expect(await refused()).toBe("its signature is not its publisher's")
  })

  test('a model package that is called software', async () => {
    const files = new Map([['model.json', Buffer.from('{}')]])
    console.wantSoftware(console.offerSoftware('0.2.0', files, acme.sign('m', '0.2.0', files)))
    expect(await refused()).toBe('what the console gave is no release of software')
  })

  test.each<[string, (release: SoftwareRelease) => void, RegExp]>([
    [
      'another architecture',
      (release) => {
        release.arch = process.arch === 'arm64' ? 'amd64' : 'arm64'
      },
      /^it is for a\w+64, and this board is a\w+64$/,
    ],
    [
      'an outbox that it could not come back to',
      (release) => {
        release.outbox += 1
      },
      /it writes layout 4 of the outbox and the version that runs reads up to 3, so the board could not go back/,
    ],
    [
      'another version than the console said',
      (release) => {
        release.version = '0.2.1'
      },
      /^the console calls it 0.2.0, its publisher signed 0.2.1$/,
    ],
    [
      'no Node',
      (release) => {
        release.files = release.files.filter(({ path }) => path !== 'node')
      },
      /^it brings no Node$/,
    ],
  ])('%s, before it fetches a file', async (_, bend, reason) => {
    console.wantSoftware(offer('0.2.0', versionFiles('0.2.0'), bend))
    expect(await refused()).toMatch(reason)
    expect(console.fetched()).toEqual([])
  })

  test('a file with other bytes than were signed, and takes the right ones later', async () => {
    const main = versionFiles('0.2.0').get('agent/main.js')!
    console.wantSoftware(offer('0.2.0'))
    console.lie(sha256(main), (request, response, bytes) =>
      whole(request, response, Buffer.from(bytes.toString().replace('0.2.0', '6.6.6'))),
    )
    const one = board()
    await one.start()
    const { wanted } = await one.until((state) => state.wanted?.state === 'refused')
    expect(wanted?.reason).toMatch(/^agent\/main.js came with sha256 [0-9a-f]{64}, the release says [0-9a-f]{64}$/)
    expect(slot()).toBeUndefined()
    console.lie(sha256(main))
    one.software.wake()
    await one.replaced
    expect(started(packaged, data)).toBe('0.2.0')
  })

  test('what its disk has no room for', async () => {
    console.wantSoftware(offer('0.2.0'))
    expect(await refused({ freeBytes: 1_000_000 })).toMatch(/needs 64 MiB of free disk, there are 1 MiB/)
  })

  test('everything where no launcher could go back', async () => {
    console.wantSoftware(offer('0.2.0'))
    expect(await refused({ launched: false })).toMatch(/not started by the launcher of its Debian package/)
  })
})

describe('a version that was given up', () => {
  const giveUp = (release: string): void =>
    writeFileSync(at('gone-back'), `release=${release}\nversion=0.2.0\nwhy=it ended 3 times\n`)

  test('is not tried again, also after a restart, and the owner is told', async () => {
    await updated('0.9.0')
    const wanted = offer('0.2.0')
    giveUp(wanted.release)
    console.wantSoftware(wanted)
    for (let n = 0; n < 2; n += 1) {
      writeFileSync(at('trial'), '')
      const one = board()
      await one.start()
      const state = await one.until(({ wanted: now }) => now !== undefined)
      expect(state.wanted).toEqual({ ...wanted, state: 'rolled-back', reason: 'it ended 3 times' })
      expect(one.software.notices()).toEqual([
        'This board went back from version 0.2.0 of the agent to a: it ended 3 times.',
      ])
      await one.stop()
    }
    expect(existsSync(at('b'))).toBe(false)
  })

  test('is tried again once the console has stopped wanting it, and is forgotten once a version is kept', async () => {
    await updated('0.9.0')
    confirm()
    const wanted = offer('0.2.0')
    giveUp(wanted.release)
    console.wantSoftware(wanted)
    const one = board()
    await one.start()
    await one.until(({ wanted: now }) => now?.state === 'rolled-back')
    console.wantSoftware()
    await one.ask()
    await one.until(({ wanted: now }) => now === undefined)
    expect(one.software.notices()).toHaveLength(1)
    console.wantSoftware(wanted)
    await one.ask()
    await one.replaced
    expect(started(packaged, data)).toBe('0.2.0')
  })
})

describe('a version on trial', () => {
  const fashion = async () => {
    const pkg = (await readCatalog(MODELS)).resolve('fashion')!
    const [golden] = pkg.manifest.golden
    const right = { ok: true, digest: golden!.digest } as never
    const wrong = { ok: false, error: { code: 'model-failed', message: 'no' } } as never
    return { pkg, right, wrong }
  }
  const doubt = (): string | undefined =>
    existsSync(at('doubt')) ? readFileSync(at('doubt'), 'utf8').trim() : undefined

  test('is kept after its time, with a heartbeat sent and a golden answer, and not before', async () => {
    await updated('0.2.0')
    const { pkg, right, wrong } = await fashion()
    let outcome = wrong
    const served: (typeof pkg)[] = []
    const goldens = { ...pkg, manifest: { ...pkg.manifest, golden: pkg.manifest.golden.slice(0, 1) } }
    const one = board({ served, run: async () => outcome })
    await one.start()
    await one.advance(3_600_000)
    expect(doubt()).toBe('it never got ready')
    one.software.ready()
    await one.advance(0)
    expect(doubt()).toBeUndefined()
    await one.advance(599_000)
    expect(doubt()).toBeUndefined()
    await one.advance(1_000)
    expect(doubt()).toBe('no heartbeat of it reached the broker')
    one.software.beat()
    await one.advance(30_000)
    expect(doubt()).toBe('it serves no model that has golden cases')
    served.push(goldens)
    const settled = async (reason: RegExp | undefined) => {
      one.software.beat()
      await one.advance(30_000)
      // The golden frame is read from the disk.
      while (reason === undefined ? doubt() !== undefined : !reason.test(doubt() ?? '')) await one.advance(0)
    }
    await settled(/^fashion@\S+ is wrong: .*model-failed: no$/)
    expect(one.software.state()?.state).toBe('trial')
    writeFileSync(at('gone-back'), 'release=x\nversion=0.1.5\nwhy=it was bad\n')
    outcome = right
    await settled(undefined)
    expect(one.software.state()?.state).toBe('confirmed')
    expect(one.states.at(-1)?.state).toBe('confirmed')
    expect(readFileSync(at('confirmed'), 'utf8')).toMatch(
      /^slot=a\nbefore=packaged\nrelease=[0-9a-f]{64}\nversion=0.2.0\n/,
    )
    expect(one.software.notices()).toEqual([])
    expect(started(packaged, data)).toBe('0.2.0')
  })

  test('is not kept while its connection is dead, however well it was heard before', async () => {
    await updated('0.2.0')
    const { pkg, right } = await fashion()
    const served = [{ ...pkg, manifest: { ...pkg.manifest, golden: pkg.manifest.golden.slice(0, 1) } }]
    const one = board({ served, run: async () => right })
    await one.start()
    one.software.ready()
    one.software.beat()
    await one.advance(600_000)
    expect(doubt()).toBe('its last heartbeat reached the broker 600 s ago')
    expect(one.software.state()?.state).toBe('trial')
    one.software.beat()
    await one.advance(30_000)
    while (doubt() !== undefined) await one.advance(0)
    expect(one.software.state()?.state).toBe('confirmed')
  })

  test('is not replaced before it is kept', async () => {
    await updated('0.2.0')
    const { pkg, right } = await fashion()
    const served = [{ ...pkg, manifest: { ...pkg.manifest, golden: pkg.manifest.golden.slice(0, 1) } }]
    console.wantSoftware(offer('0.3.0'))
    const one = board({ served, run: async () => right })
    await one.start()
    const { wanted } = await one.until((state) => state.wanted !== undefined)
    expect(wanted).toMatchObject({ state: 'downloading', reason: expect.stringContaining('still on trial') })
    one.software.ready()
    await one.advance(590_000)
    one.software.beat()
    await one.advance(10_000)
    await one.replaced
    expect(slot()).toBe('b')
  })
})

test('a board whose next start runs another version than this one fetches nothing before', async () => {
  await updated('0.2.0')
  confirm()
  const running = board()
  // As the postinst of another package does it, before it restarts the service.
  rmSync(at('current'))
  console.wantSoftware(offer('0.3.0'))
  await running.start()
  const { wanted } = await running.until((state) => state.wanted !== undefined)
  expect(wanted?.reason).toMatch(/the next start of this board runs another version/)
})

describe('a board whose package was installed anew', () => {
  const slots = (): string[] => ['a', 'b'].filter((name) => existsSync(at(name)))
  /** As its postinst does it. */
  const install = (): void => rmSync(at('current'))

  beforeEach(async () => {
    await updated('0.2.0')
    confirm()
    await updated('0.3.0')
    confirm()
  })

  test('keeps the version that still runs until its restart, and then frees the disk of both', async () => {
    const running = board()
    install()
    console.wantSoftware()
    await running.start()
    await running.ask()
    await running.advance(1_000)
    expect(slots()).toEqual(['a', 'b'])
    await running.stop()
    const next = board()
    await next.start()
    while (slots().length > 0) await next.advance(0)
    expect(started(packaged, data)).toBe('0.1.0')
  })

  test('keeps a version that its console wants, and goes to it without a download', async () => {
    install()
    console.wantSoftware(offer('0.2.0'))
    console.asked.splice(0)
    const next = board()
    await next.start()
    await next.replaced
    expect(console.fetched()).toEqual([])
    expect(slots()).toEqual(['a'])
    expect(started(packaged, data)).toBe('0.2.0')
  })
})
