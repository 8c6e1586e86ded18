// One place of the live strip: a frame, what was seen in it, by whom and when.
import type { TaskView } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { modelName } from '../answers.ts'
import { AnswerWords } from './answer.tsx'
import { Picture } from './picture.tsx'

export const Tile = ({ task }: { task: TaskView }) => (
  <li class="tile">
    <a class="tile-link" href={paths.task(task.id)}>
      <Picture task={task} shape="tile" stamp />
      <span class="tile-words">{task.answer ? <AnswerWords answer={task.answer} /> : 'Running'}</span>
    </a>
    <p class="tile-by">
      {task.device && <a href={paths.device(task.device.id)}>{task.device.name}</a>}
      <span>{modelName(task.model)}</span>
    </p>
  </li>
)
