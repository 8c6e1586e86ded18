// The accounts of the local chain in memory: always "a snapshot plus the journal after it", so a killed process loses nothing.
import { ChainError } from '../chain-error.ts'
import { FAUCET_LAMPORTS } from './faucet.ts'
import type { Journal } from './journal.ts'
import { readSnapshot, writeSnapshot } from './snapshot.ts'
import { createSvm, loadLiteSvm, type Svm } from './svm.ts'

export interface ChainState {
  readonly svm: Svm
  /** One more transaction is in the journal: time for a snapshot? */
  appended(): void
  /** Forgets what the journal does not know. */
  restore(): void
  save(): void
}

export function createState(options: {
  readonly folder: string
  readonly journal: Journal
  readonly faucetAddress: string
  readonly snapshotEvery: number
  readonly hashOf: (slot: number) => string
}): ChainState {
  const { folder, journal, faucetAddress, snapshotEvery, hashOf } = options
  const native = loadLiteSvm()
  let unsaved = 0

  const born = (): { svm: Svm; seq: number } => {
    const found = readSnapshot(folder, journal.last().seq)
    if (found) return { svm: createSvm(native, { snapshot: found.state, hashOf }), seq: found.seq }
    const svm = createSvm(native, { hashOf })
    svm.fund(faucetAddress, FAUCET_LAMPORTS)
    return { svm, seq: 0 }
  }

  const replayed = (): Svm => {
    const { svm, seq } = born()
    for (const entry of journal.after(seq)) {
      const { err } = svm.execute(entry.wire, entry)
      unsaved++
      if ((err === null) !== (entry.err === null))
        throw new ChainError(
          'damaged',
          `the local chain in ${folder} is damaged: transaction ${entry.signature} now ends otherwise; restore the folder`,
        )
    }
    return svm
  }

  let svm = replayed()
  const save = (): void => {
    if (unsaved === 0) return
    writeSnapshot(folder, journal.last().seq, svm.snapshot())
    unsaved = 0
  }
  return {
    get svm() {
      return svm
    },
    appended() {
      if (++unsaved >= snapshotEvery) save()
    },
    restore() {
      unsaved = 0
      svm = replayed()
    },
    save,
  }
}
