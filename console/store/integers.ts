// SQLite integers arrive as bigint so that money is exact; this plugin keeps columns ending in `_units` so and makes
// every other integer an ordinary number. Sums of money must therefore be aliased to a name that ends in `_units`.
import type { KyselyPlugin, UnknownRow } from 'kysely'

const isMoney = (column: string): boolean => column.endsWith('_units')

function toNumber(column: string, value: bigint): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new RangeError(`${column} = ${value} does not fit a number`)
  return number
}

function convert(row: UnknownRow): UnknownRow {
  for (const column in row) {
    const value = row[column]
    if (typeof value === 'bigint' && !isMoney(column)) row[column] = toNumber(column, value)
  }
  return row
}

export const integersPlugin: KyselyPlugin = {
  transformQuery: ({ node }) => node,
  // The rows belong to this one query, so they are changed in place: no copy on the hot path.
  transformResult: async ({ result }) => {
    for (const row of result.rows) convert(row)
    return result
  },
}
