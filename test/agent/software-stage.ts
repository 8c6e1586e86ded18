// The stage of the tests of updates of the agent: a console, and for each test a board with its package, stopped after it.
import { existsSync, readFileSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import type { SoftwareRelease } from '../../broker/protocol/software.ts'
import {
  type Console,
  createPublisher,
  type Files,
  removeFolders,
  startConsole,
  temporaryFolder,
} from './packages-rig.ts'
import { createSoftwareBoard, installPackage, type SoftwareBoard, versionFiles } from './software-rig.ts'

export type More = Partial<Parameters<typeof createSoftwareBoard>[0]>

export function openSoftwareStage() {
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

  function board(more: More = {}): SoftwareBoard {
    const made = createSoftwareBoard({ url: console.url, data, packaged, ...more })
    boards.push(made)
    return made
  }
  const offer = (name: string, files: Files = versionFiles(name), bend?: (release: SoftwareRelease) => void) =>
    console.offerSoftware(name, files, acme.signSoftware(name, files, bend))
  const at = (name: string): string => join(data, 'software', name)
  return {
    /** Whom the package trusts. */
    acme,
    /** Whom the console trusts. */
    stranger,
    get console() {
      return console
    },
    get data() {
      return data
    },
    get packaged() {
      return packaged
    },
    board,
    offer,
    at,
    slot: (): string | undefined => (existsSync(at('current')) ? readlinkSync(at('current')) : undefined),
    /** A board that follows the console's wish to its end, and is stopped. */
    async updated(name: string, more?: More): Promise<SoftwareBoard> {
      console.wantSoftware(offer(name))
      const one = board(more)
      await one.start()
      await one.replaced
      await one.stop()
      return one
    },
    /** The new version has shown itself well. */
    confirm(): void {
      writeFileSync(at('confirmed'), readFileSync(at('trial')))
      truncateSync(at('trial'))
    },
  }
}
