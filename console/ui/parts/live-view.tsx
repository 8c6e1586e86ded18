// What a board sees now: its newest frame, large, with the answer drawn on it and said beside it.
import type { TaskView } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { Answer } from './answer.tsx'
import { Empty } from './empty.tsx'
import { Picture } from './picture.tsx'
import { PauseButton, useStrip } from './strip.tsx'
import { TimingBar } from './timings.tsx'

export function LiveView({ tasks }: { tasks: readonly TaskView[] }) {
  const [task] = useStrip(tasks, 1)
  return (
    <section class="card live" aria-labelledby="live-title">
      <div class="card-head">
        <h2 id="live-title">Latest answer</h2>
        {task && <PauseButton />}
      </div>
      {!task?.answer ? (
        <Empty title="No picture from this board yet.">
          <p>It appears with the first answered frame. Sound and sensor answers are listed under recent tasks.</p>
        </Empty>
      ) : (
        <div class="live-body">
          <a href={paths.task(task.id)} aria-label="Open this task">
            <Picture task={task} shape="whole" stamp />
          </a>
          <div class="live-words">
            <p class="muted">{task.answer.model}</p>
            <Answer answer={task.answer} />
            <TimingBar ms={task.answer.ms} legend />
          </div>
        </div>
      )}
    </section>
  )
}
