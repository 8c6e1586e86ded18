// Tasks as a table: what was asked, who answered, how long it took, what came out.
import type { TaskView } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { modelName } from '../answers.ts'
import { TASK_WORDS } from '../words.ts'
import { AnswerWords } from './answer.tsx'
import { type Column, Table } from './table.tsx'
import { TimingBar } from './timings.tsx'
import { Moment, Pill } from './words.tsx'

const board: Column<TaskView> = {
  key: 'board',
  label: 'Board',
  cell: ({ device }) =>
    device ? <a href={paths.device(device.id)}>{device.name}</a> : <span class="muted">none yet</span>,
}

const columns: readonly Column<TaskView>[] = [
  {
    key: 'result',
    label: 'Result',
    cell: (task) => (
      <a class="row-link" href={paths.task(task.id)}>
        {task.answer ? (
          <AnswerWords answer={task.answer} />
        ) : (
          <span class="muted">{TASK_WORDS[task.state].label}…</span>
        )}
      </a>
    ),
  },
  { key: 'state', label: 'State', cell: ({ state }) => <Pill {...TASK_WORDS[state]} /> },
  { key: 'model', label: 'Model', cell: ({ model }) => modelName(model) },
  { key: 'requester', label: 'Requester', cell: ({ requester }) => requester },
  {
    key: 'timing',
    label: 'Board time',
    cell: ({ answer }) =>
      answer && 'result' in answer ? <TimingBar ms={answer.ms} /> : <span class="muted">not run</span>,
  },
  { key: 'at', label: 'Asked', end: true, cell: ({ acceptedAt }) => <Moment at={acceptedAt} /> },
]

export const TaskTable = ({ tasks, boards }: { tasks: readonly TaskView[]; boards?: boolean }) => (
  <Table
    caption="Tasks, newest first"
    columns={boards ? columns.toSpliced(3, 0, board) : columns}
    rows={tasks}
    keyOf={({ id }) => id}
  />
)
