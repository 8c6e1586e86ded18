// A table that sorts by its headings and turns into cards on a narrow screen.
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'

export interface Column<Row> {
  readonly key: string
  readonly label: string
  readonly cell: (row: Row) => ComponentChildren
  /** Numbers stand at the end of their column. */
  readonly end?: boolean
  readonly compare?: (a: Row, b: Row) => number
}

export interface TableProps<Row> {
  /** Read out by screen readers. */
  readonly caption: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string
  readonly quiet?: (row: Row) => boolean
}

interface Order {
  readonly key: string
  readonly down: boolean
}

function sorted<Row>({ rows, columns }: TableProps<Row>, order: Order | undefined): readonly Row[] {
  const compare = columns.find(({ key }) => key === order?.key)?.compare
  if (!compare || !order) return rows
  return rows.toSorted((a, b) => (order.down ? compare(b, a) : compare(a, b)))
}

function Heading<Row>(props: { column: Column<Row>; order: Order | undefined; onOrder: (next: Order) => void }) {
  const { column, order, onOrder } = props
  const mine = order?.key === column.key
  const sort = mine ? (order?.down ? 'descending' : 'ascending') : undefined
  return (
    <th scope="col" class={column.end ? 'end' : undefined} aria-sort={sort}>
      {column.compare ? (
        <button
          type="button"
          class="sort"
          onClick={() => onOrder({ key: column.key, down: mine ? !order?.down : Boolean(column.end) })}
        >
          {column.label}
        </button>
      ) : (
        column.label
      )}
    </th>
  )
}

export function Table<Row>(props: TableProps<Row>) {
  const { caption, columns, keyOf, quiet } = props
  const order = useSignal<Order | undefined>(undefined)
  const onOrder = (next: Order) => {
    order.value = next
  }
  return (
    <table class="table">
      <caption class="unseen">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <Heading key={column.key} column={column} order={order.value} onOrder={onOrder} />
          ))}
        </tr>
      </thead>
      <tbody>
        {sorted(props, order.value).map((row) => (
          <tr key={keyOf(row)} class={quiet?.(row) ? 'quiet-row' : undefined}>
            {columns.map(({ key, label, cell, end }) => (
              <td key={key} class={`col-${key}${end ? ' end' : ''}`} data-label={label}>
                <div class="cell">{cell(row)}</div>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}
