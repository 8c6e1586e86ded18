// The thread of rewards/aside.ts: one question, one answer, and it ends.
import { parentPort, workerData } from 'node:worker_threads'
import { openReader } from '../store/reader.ts'
import type { Question } from './aside.ts'
import { checkLedger } from './check.ts'
import { proofOf } from './proof.ts'
import { statementOf } from './statement.ts'

const { file, question } = workerData as { readonly file: string; readonly question: Question }
const db = openReader(file)

const answer = (asked: Question): Promise<unknown> => {
  switch (asked.about) {
    case 'check':
      return checkLedger(db, { holdings: asked.holdings })
    case 'proof':
      return proofOf(db, asked.receipt, asked.treasury)
    case 'statement':
      return statementOf(db, asked.period)
  }
}

try {
  parentPort?.postMessage(await answer(question))
} finally {
  await db.destroy()
}
