// The death of a process, which can strike between any two statements or RPC calls.
import { type KyselyPlugin, type RootOperationNode, TableNode } from 'kysely'
import type { PayoutChain } from '../../console/settlement/payer.ts'

export class CrashSignal extends Error {}

/** One process: dies at its k-th step (or never), and once dead takes no further step. */
export interface Life {
  /** `kind`: what is before or behind it. */
  step(kind: string): void
  /** The kinds of all steps so far, in order. */
  readonly steps: readonly string[]
}
export const createLife = (dieAt = Number.POSITIVE_INFINITY): Life => {
  const steps: string[] = []
  let dead = false
  return {
    step(kind) {
      if (dead || steps.push(kind) >= dieAt) {
        dead = true
        throw new CrashSignal('the process was killed here')
      }
    },
    steps,
  }
}

/** As "insert payout_batches"; what is only read is all of one kind. */
function kindOf(node: RootOperationNode): string {
  const table =
    node.kind === 'InsertQueryNode'
      ? node.into
      : node.kind === 'UpdateQueryNode'
        ? node.table
        : node.kind === 'DeleteQueryNode'
          ? node.from.froms[0]
          : undefined
  const verb = node.kind.replace(/(Query)?Node$/, '').toLowerCase()
  return table && TableNode.is(table) ? `${verb} ${table.table.identifier.name}` : verb
}

/** Every statement is a step before it runs and again after. */
export function mortal(life: Life): KyselyPlugin {
  const kinds = new WeakMap<object, string>()
  return {
    transformQuery({ node, queryId }) {
      const kind = kindOf(node)
      kinds.set(queryId, kind)
      life.step(`before ${kind}`)
      return node
    },
    async transformResult({ result, queryId }) {
      life.step(`after ${kinds.get(queryId)}`)
      return result
    },
  }
}

/** The payer of a process: every call is a step before it is made and again after, but for what only computes. */
export function mortalChain(life: Life, real: PayoutChain): PayoutChain {
  const around =
    <A extends unknown[], R>(name: keyof PayoutChain, call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      life.step(`before ${name}`)
      const result = await call(...args)
      life.step(`after ${name}`)
      return result
    }
  return {
    ...real,
    finalized: around('finalized', real.finalized),
    statuses: around('statuses', real.statuses),
    existing: around('existing', real.existing),
    history: around('history', real.history),
    transfer: around('transfer', real.transfer),
    lifetime: around('lifetime', real.lifetime),
    rehearse: around('rehearse', real.rehearse),
    send: around('send', real.send),
    funds: around('funds', real.funds),
    reclaim: around('reclaim', real.reclaim),
    tables: around('tables', real.tables),
    tableRents: around('tableRents', real.tableRents),
    sign(...payment) {
      life.step('before sign')
      return real.sign(...payment)
    },
    signTable(...order) {
      life.step('before signTable')
      return real.signTable(...order)
    },
  }
}
