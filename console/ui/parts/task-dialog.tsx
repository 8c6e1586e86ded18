// One task in full: its frame, its answer, its times, and the JSON exactly as the requester got it.
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { TaskView } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { navigate } from '../router.ts'
import { api } from '../session.ts'
import { tasks } from '../state.ts'
import { TASK_WORDS } from '../words.ts'
import { Answer } from './answer.tsx'
import { Icon } from './icons.tsx'
import { Picture } from './picture.tsx'
import { TimingBar } from './timings.tsx'
import { Amount, Digest, Moment, Pill } from './words.tsx'

const Facts = ({ task }: { task: TaskView }) => (
  <dl class="facts">
    <dt>State</dt>
    <dd>
      <Pill {...TASK_WORDS[task.state]} />
    </dd>
    <dt>Requester</dt>
    <dd>
      {task.requester} <span class="muted">asked as {task.requestId}</span>
    </dd>
    <dt>Model</dt>
    <dd>{task.answer?.model ?? task.model}</dd>
    <dt>Board</dt>
    <dd>{task.device ? <a href={paths.device(task.device.id)}>{task.device.name}</a> : 'none yet'}</dd>
    <dt>Accepted</dt>
    <dd>
      <Moment at={task.acceptedAt} />
      {task.attempts > 1 && <span class="muted"> tried {task.attempts} times</span>}
    </dd>
    <dt>Price</dt>
    <dd>
      <Amount units={task.price} />
    </dd>
    {task.answer && 'digest' in task.answer && (
      <>
        <dt>Digest</dt>
        <dd>
          <Digest text={task.answer.digest} keep={12} />
        </dd>
      </>
    )}
  </dl>
)

const Body = ({ task }: { task: TaskView }) => (
  <div class="task">
    {task.frame && <Picture task={task} shape="whole" />}
    {task.answer && <Answer answer={task.answer} />}
    {task.answer && <TimingBar ms={task.answer.ms} legend />}
    <Facts task={task} />
    {task.answer && (
      <details class="json">
        <summary>The answer as JSON</summary>
        <pre>{JSON.stringify(task.answer, null, 2)}</pre>
      </details>
    )}
  </div>
)

/** The list's entry while it is there (it changes as the task does), the console's word for one long gone. */
function useTask(id: string): { task: TaskView | undefined; problem: string | undefined } {
  const read = useSignal<{ task?: TaskView; problem?: string }>({})
  const listed = tasks.value?.find((task) => task.id === id)
  useEffect(() => {
    if (listed) return
    void api.task(id).then((outcome) => {
      read.value = outcome.ok ? { task: outcome.value } : { problem: outcome.message }
    })
  }, [id, listed === undefined])
  return { task: listed ?? read.value.task, problem: read.value.problem }
}

export function TaskDialog({ id }: { id: string }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const { task, problem } = useTask(id)
  useEffect(() => {
    if (dialog.current && !dialog.current.open) dialog.current.showModal()
  }, [])
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="task-title" onClose={() => navigate(paths.tasks)}>
      <div class="dialog-head">
        <h2 id="task-title">
          Task <Digest text={id} keep={10} />
        </h2>
        <button type="button" class="button quiet square" aria-label="Close" onClick={() => dialog.current?.close()}>
          <Icon name="cross" />
        </button>
      </div>
      {task ? <Body task={task} /> : <p class="muted">{problem ?? 'Reading the task…'}</p>}
    </dialog>
  )
}
