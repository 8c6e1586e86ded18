// Long readings of the money on a thread of their own: the ledger check adds up every transfer there is, and meanwhile the
// console must go on handing out tasks.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { LedgerReport } from './check.ts'
import type { Holdings } from './liabilities.ts'
import type { Proven } from './proof.ts'
import type { Period, Statement } from './statement.ts'

export type Question =
  | { readonly about: 'check'; readonly holdings: Holdings | undefined }
  | { readonly about: 'proof'; readonly receipt: number; readonly treasury: string }
  | { readonly about: 'statement'; readonly period: Period }

export interface Aside {
  check(holdings: Holdings | undefined): Promise<LedgerReport>
  proof(receipt: number, treasury: string): Promise<Proven>
  statement(period: Period): Promise<Statement>
}

const THREAD = new URL('./aside-worker.ts', import.meta.url)

/** `file`: the database, which somebody has opened and migrated. */
export function createAside(file: string): Aside {
  let last: Promise<unknown> = Promise.resolve()

  /** What the thread fails with rejects here. */
  async function ask(question: Question): Promise<unknown> {
    const worker = new Worker(THREAD, { workerData: { file, question } })
    // It closes its connection before it ends.
    const [[answer]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
    return answer
  }

  /** One thread at a time, however many ask: each costs some 20 MiB and a core. */
  const inTurn = <T>(question: Question): Promise<T> => {
    const answer = last.then(() => ask(question)) as Promise<T>
    last = answer.catch(() => undefined)
    return answer
  }

  return {
    check: (holdings) => inTurn({ about: 'check', holdings }),
    proof: (receipt, treasury) => inTurn({ about: 'proof', receipt, treasury }),
    statement: (period) => inTurn({ about: 'statement', period }),
  }
}
