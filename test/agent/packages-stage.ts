// The stage of the tests of models over the air: for each test a console and a folder, and boards that are stopped after it.
import { afterAll, afterEach, beforeEach } from 'vitest'
import type { PackageState } from '../../broker/protocol/messages.ts'
import {
  type Board,
  type BoardOptions,
  type Console,
  createBoard,
  createPublisher,
  type Files,
  removeFolders,
  startConsole,
  temporaryFolder,
  version,
} from './packages-rig.ts'

export function openPackagesStage() {
  const acme = createPublisher()
  let console: Console
  let data: string
  let boards: Board[] = []
  beforeEach(async () => {
    console = await startConsole([acme])
    data = await temporaryFolder()
  })
  afterEach(async () => {
    await Promise.all(boards.map((board) => board.stop()))
    boards = []
    await console.close()
  })
  afterAll(removeFolders)
  const offered = (id: string, name: string, files: Files) => console.offer(id, name, files, acme.sign(id, name, files))
  return {
    /** The publisher that the console trusts. */
    acme,
    get console() {
      return console
    },
    get data() {
      return data
    },
    async boardWith(options: Partial<BoardOptions> = {}): Promise<Board> {
      const board = createBoard({ url: console.url, data, ...options })
      boards.push(board)
      await board.start()
      return board
    },
    offered,
    offer: async (name: string, kiB = 1, id = 'fashion') => offered(id, name, await version(id, name, kiB)),
    async told(board: Board, ...models: Parameters<Console['want']>): Promise<void> {
      console.want(...models)
      await board.packages.converge()
    },
    serves:
      (name: string, id = 'fashion') =>
      (_: readonly PackageState[], versions: Record<string, string>): boolean =>
        versions[id] === name,
  }
}
