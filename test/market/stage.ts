// The stage of the dispatcher's tests: for each a database of its own with two boards and two requesters.
import { afterEach, beforeEach } from 'vitest'
import type { Store } from '../../console/store/open.ts'
import { addRequester, type Board, enrol, type Folder, makeFolder, openStore } from './pool.ts'

export function openStage() {
  let folder: Folder
  let store: Store
  let boards: { readonly a: Board; readonly b: Board }
  beforeEach(async () => {
    folder = makeFolder()
    store = await openStore(folder)
    boards = { a: await enrol(store, 'owner-a'), b: await enrol(store, 'owner-b') }
    await addRequester(store, 'req-a', 1_000_000n)
    await addRequester(store, 'req-b', 1_000_000n)
  })
  afterEach(async () => {
    await store.close()
    folder.remove()
  })
  return {
    get store() {
      return store
    },
    get a() {
      return boards.a
    },
    get b() {
      return boards.b
    },
  }
}
