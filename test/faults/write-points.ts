// Every place at which a process can die with its outbox half written: before and after each statement that changes
// something, each transaction and each copy of the log. better-sqlite3's statements are wrapped, so that none is forgotten.
import Database from 'better-sqlite3'

type Named = (...args: unknown[]) => unknown

/** Calls `onPoint` with a name for each; the returned function takes the wraps off again. */
export function watchWrites(onPoint: (name: string) => void): () => void {
  const { prepare, transaction, pragma } = Database.prototype
  const around =
    (name: string, work: Named): Named =>
    (...args) => {
      onPoint(`before ${name}`)
      const result = work(...args)
      onPoint(`after ${name}`)
      return result
    }
  Object.assign(Database.prototype, {
    prepare(this: Database.Database, sql: string) {
      const statement = prepare.call(this, sql) as Database.Statement<unknown[]>
      const name = /^\s*(INSERT INTO|UPDATE|DELETE FROM) (\w+)/.exec(sql)?.slice(1).join(' ')
      if (name === undefined) return statement
      const run: Named = statement.run.bind(statement)
      const all: Named = statement.all.bind(statement)
      return Object.assign(statement, { run: around(name, run), all: around(name, all) })
    },
    transaction(this: Database.Database, work: Named) {
      const made = transaction.call(this, work)
      const immediate: Named = (...args) => made.immediate(...args)
      return Object.assign(around('a transaction', made), { immediate: around('a transaction', immediate) })
    },
    pragma(this: Database.Database, text: string, options?: Database.PragmaOptions) {
      const ask: Named = () => pragma.call(this, text, options)
      return text.startsWith('wal_checkpoint') ? around(text, ask)() : ask()
    },
  })
  return () => void Object.assign(Database.prototype, { prepare, transaction, pragma })
}
