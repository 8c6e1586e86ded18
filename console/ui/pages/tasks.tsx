// Tasks: what was asked of the pool lately and what came of it, live; one of them open in full.
import { useSignal } from '@preact/signals'
import type { TaskView } from '../../routes/shapes.ts'
import { describeAnswer } from '../answers.ts'
import { Empty, Loading } from '../parts/empty.tsx'
import { type Choice, Filter } from '../parts/filter.tsx'
import { PauseButton } from '../parts/strip.tsx'
import { TaskDialog } from '../parts/task-dialog.tsx'
import { TaskTable } from '../parts/task-table.tsx'
import { plural } from '../quantities.ts'
import { route } from '../router.ts'
import { paused, tasks } from '../state.ts'
import { TASK_WORDS } from '../words.ts'

/** The list is for looking, not for archives: the API pages further back. */
const SHOWN_TASKS = 60

const matches = (task: TaskView, text: string, state: string): boolean => {
  const { id, requestId, requester, model, device, answer } = task
  const words = [id, requestId, requester, model, device?.name, answer && describeAnswer(answer)]
    .join(' ')
    .toLowerCase()
  return words.includes(text.toLowerCase().trim()) && (state === '' || task.state === state)
}

const choices: readonly Choice[] = [
  { value: '', label: 'All' },
  ...Object.entries(TASK_WORDS).map(([value, { label }]) => ({ value, label })),
]

/** The live list, or the one of the moment somebody pressed "Hold still". */
function useHeld(): readonly TaskView[] | undefined {
  const held = useSignal<readonly TaskView[] | undefined>(undefined)
  if (!paused.value) held.value = undefined
  else held.value ??= tasks.value
  return held.value ?? tasks.value
}

export function TasksPage() {
  const text = useSignal('')
  const state = useSignal('')
  const list = useHeld()
  const at = route.value
  const shown = list?.filter((task) => matches(task, text.value, state.value)).slice(0, SHOWN_TASKS)
  return (
    <>
      <div class="page-head">
        <h1>Tasks</h1>
        <PauseButton />
      </div>
      <Filter
        label="Find a task"
        hint="Result, id, requester, model or board"
        text={text}
        choice={state}
        choices={choices}
      />
      {!list && <Loading what="the tasks" />}
      {list?.length === 0 && (
        <Empty title="Nothing has been asked of the pool yet.">
          <p>
            Ask something: <code>curl --data-binary @photo.jpg 'http://…/api/tasks?model=ssd-mobilenet-v1&wait=1'</code>{' '}
            with an API key, or publish a frame by MQTT as in the README.
          </p>
        </Empty>
      )}
      {list && list.length > 0 && shown?.length === 0 && (
        <Empty title={`None of the last ${plural(list.length, 'task')} fits the filter.`} />
      )}
      {shown && shown.length > 0 && <TaskTable tasks={shown} boards />}
      {at.page === 'tasks' && at.id !== undefined && <TaskDialog key={at.id} id={at.id} />}
    </>
  )
}
