// What a task of each model costs. A model without a row here is not offered by the pool.
import type { Kysely } from 'kysely'
import type { Database } from '../store/schema.ts'

export interface Price {
  readonly model: string
  /** Base units per task; 0 is free of charge. */
  readonly units: bigint
  /** Who gets the royalty. */
  readonly publisher: string
}

export interface Prices {
  of(model: string): Price | undefined
  list(): readonly Price[]
  /** From now on; tasks accepted before keep the price they were accepted at. */
  set(price: Price): Promise<void>
  /** Sets the prices of models that have none yet. */
  seed(prices: readonly Price[]): Promise<void>
}

/** Prices are read for every task, so they stand in memory and are written through. */
export async function createPrices(db: Kysely<Database>): Promise<Prices> {
  const known = new Map<string, Price>()
  for (const row of await db.selectFrom('prices').selectAll().orderBy('model').execute())
    known.set(row.model, { model: row.model, units: row.price_units, publisher: row.publisher })

  async function set(price: Price): Promise<void> {
    const { model, units, publisher } = price
    await db
      .insertInto('prices')
      .values({ model, price_units: units, publisher })
      .onConflict((conflict) => conflict.column('model').doUpdateSet({ price_units: units, publisher }))
      .execute()
    known.set(model, price)
  }

  return {
    of: (model) => known.get(model),
    list: () => [...known.values()],
    set,
    async seed(prices) {
      for (const price of prices) if (!known.has(price.model)) await set(price)
    },
  }
}
