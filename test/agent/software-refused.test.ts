// What a board does not take for its next version, and why.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { SoftwareRelease } from '../../broker/protocol/software.ts'
import { sha256, whole } from './packages-rig.ts'
import { installPackage, started, versionFiles } from './software-rig.ts'
import { type More, openSoftwareStage } from './software-stage.ts'

const stage = openSoftwareStage()
const { acme, stranger, board, offer, at, slot } = stage

describe('a board refuses', () => {
  async function refused(more?: More) {
    const one = board(more)
    await one.start()
    const { wanted } = await one.until((state) => state.wanted?.state === 'refused')
    expect(slot()).toBeUndefined()
    expect(existsSync(at('trial'))).toBe(false)
    return wanted?.reason
  }

  test('everything while it trusts nobody, and says what to do', async () => {
    installPackage(stage.packaged, versionFiles('0.1.0'))
    writeFileSync(join(stage.packaged, 'software-keys'), '# nobody\n')
    stage.console.wantSoftware(offer('0.2.0'))
    expect(await refused()).toMatch(/trusts no publisher of software: .*BRAMBLE_TRUST_SOFTWARE=ID:KEY/)
    expect(stage.console.asked.map(({ path }) => path)).toEqual(['/boards/desired'])
  })

  test('nothing of whom its owner trusts by a setting', async () => {
    const files = versionFiles('0.2.0')
    stage.console.wantSoftware(stage.console.offerSoftware('0.2.0', files, stranger.signSoftware('0.2.0', files)))
    const one = board({ settings: { BRAMBLE_TRUST_SOFTWARE: `${stranger.id}:${stranger.key}` } })
    await one.start()
    await one.replaced
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
  })

  test('a setting that is no key, and trusts the package all the same', async () => {
    stage.console.wantSoftware(offer('0.2.0'))
    const one = board({ settings: { BRAMBLE_TRUST_SOFTWARE: 'acme' } })
    await one.start()
    await one.replaced
  })

  test('a publisher that only the console trusts', async () => {
    const files = versionFiles('0.2.0')
    stage.console.wantSoftware(stage.console.offerSoftware('0.2.0', files, stranger.signSoftware('0.2.0', files)))
    expect(await refused()).toBe('its publisher is not one whose software this board trusts')
  })

  test('a signature that is not its publisher’s', async () => {
    const files = versionFiles('0.2.0')
    const forged = stranger.signSoftware('0.2.0', files, (release) => {
      release.publisher = acme.id
    })
    stage.console.wantSoftware(stage.console.offerSoftware('0.2.0', files, forged))
    expect(await refused()).toBe("its signature is not its publisher's")
  })

  test('a model package that is called software', async () => {
    const files = new Map([['model.json', Buffer.from('{}')]])
    stage.console.wantSoftware(stage.console.offerSoftware('0.2.0', files, acme.sign('m', '0.2.0', files)))
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
    stage.console.wantSoftware(offer('0.2.0', versionFiles('0.2.0'), bend))
    expect(await refused()).toMatch(reason)
    expect(stage.console.fetched()).toEqual([])
  })

  test('a file with other bytes than were signed, and takes the right ones later', async () => {
    const main = versionFiles('0.2.0').get('agent/main.js')!
    stage.console.wantSoftware(offer('0.2.0'))
    stage.console.lie(sha256(main), (request, response, bytes) =>
      whole(request, response, Buffer.from(bytes.toString().replace('0.2.0', '6.6.6'))),
    )
    const one = board()
    await one.start()
    const { wanted } = await one.until((state) => state.wanted?.state === 'refused')
    expect(wanted?.reason).toMatch(/^agent\/main.js came with sha256 [0-9a-f]{64}, the release says [0-9a-f]{64}$/)
    expect(slot()).toBeUndefined()
    stage.console.lie(sha256(main))
    one.software.wake()
    await one.replaced
    expect(started(stage.packaged, stage.data)).toBe('0.2.0')
  })

  test('what its disk has no room for', async () => {
    stage.console.wantSoftware(offer('0.2.0'))
    expect(await refused({ freeBytes: 1_000_000 })).toMatch(/needs 64 MiB of free disk, there are 1 MiB/)
  })

  test('everything where no launcher could go back', async () => {
    stage.console.wantSoftware(offer('0.2.0'))
    expect(await refused({ launched: false })).toMatch(/not started by the launcher of its Debian package/)
  })
})
