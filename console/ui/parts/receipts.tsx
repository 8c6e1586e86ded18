// Receipts as a table: what was done, what it was worth, and why it was worth that.
import type { ReceiptView } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { isSome } from '../amounts.ts'
import { formatMs } from '../quantities.ts'
import { RECEIPT_WORDS, receiptReason } from '../words.ts'
import { Download } from './download.tsx'
import { type Column, Table } from './table.tsx'
import { Amount, Digest, Moment, Pill } from './words.tsx'

const board: Column<ReceiptView> = {
  key: 'board',
  label: 'Board',
  cell: ({ device }) => <a href={paths.device(device.id)}>{device.name}</a>,
}

const columns: readonly Column<ReceiptView>[] = [
  { key: 'at', label: 'Done', cell: ({ at }) => <Moment at={at} /> },
  {
    key: 'task',
    label: 'Task',
    cell: ({ task }) => (
      <a href={paths.task(task)}>
        <Digest text={task} keep={6} />
      </a>
    ),
  },
  {
    key: 'state',
    label: 'State',
    cell: ({ state, reason }) => (
      <>
        <Pill {...RECEIPT_WORDS[state]} />
        {reason && <span class="reason">{receiptReason(reason)}</span>}
      </>
    ),
  },
  { key: 'digest', label: 'Output', cell: ({ outputDigest }) => <Digest text={outputDigest} keep={6} /> },
  { key: 'infer', label: 'In the model', end: true, cell: ({ inferMs }) => formatMs(inferMs) },
  { key: 'amount', label: 'Amount', end: true, cell: ({ amount }) => <Amount units={amount} /> },
  {
    key: 'proof',
    label: 'Proof',
    end: true,
    cell: ({ id, epoch, amount }) =>
      epoch !== undefined &&
      isSome(amount) && (
        <Download path={`/api/rewards/receipts/${id}/proof`} name={`receipt-${id}.json`} label="Proof" />
      ),
  },
]

export const Receipts = ({ receipts, boards }: { receipts: readonly ReceiptView[]; boards?: boolean }) => (
  <Table
    caption="Receipts"
    columns={boards ? [board, ...columns] : columns}
    rows={receipts}
    keyOf={({ id }) => String(id)}
  />
)
