// An answer in a few words, and which answers a live strip shows.
import type { Prediction, ResultMessage } from '../../broker/protocol/messages.ts'
import type { TaskView } from '../routes/shapes.ts'
import { formatScore, plural } from './quantities.ts'
import { ERROR_WORDS } from './words.ts'

const listed = (things: readonly { label: string; score: number }[]): string =>
  things.map(({ label, score }) => `${label} ${formatScore(score)}`).join(', ')

const NAMED_OBJECTS = 3

function describePrediction(result: Prediction): string {
  switch (result.kind) {
    case 'classification':
      return listed(result.labels.slice(0, 1)) || 'No label'
    case 'detection': {
      const more = result.objects.length - NAMED_OBJECTS
      const named = listed(result.objects.slice(0, NAMED_OBJECTS)) || 'Nothing found'
      return more > 0 ? `${named} and ${more} more` : named
    }
    case 'audio': {
      const seconds = result.segments.reduce((sum, { startS, endS }) => sum + endS - startS, 0)
      const label = result.segments[0]?.label ?? 'Nothing'
      return seconds === 0
        ? 'Nothing heard'
        : `${label} for ${seconds.toFixed(1)} s in ${plural(result.segments.length, 'segment')}`
    }
    case 'series':
      return `${result.anomaly ? 'Anomaly' : 'Normal'}: ${result.score.toPrecision(3)} of ${result.threshold.toPrecision(3)}`
    case 'tensor':
      return result.outputs.map(({ name, shape }) => `${name} ${shape.join('×')}`).join(', ')
  }
}

/** `person 64 %, mouse 59 %`, or what went wrong. */
export const describeAnswer = (answer: ResultMessage): string =>
  'error' in answer ? ERROR_WORDS[answer.error.code] : describePrediction(answer.result)

/** `mobilenet-v1` of `mobilenet-v1@1`. */
export const modelName = (model: string): string => model.split('@')[0] ?? model

const isShowable = (task: TaskView): boolean => task.frame && task.answer !== undefined && 'result' in task.answer

const answeredAt = (task: TaskView): string => task.answer?.at ?? task.acceptedAt

const sourceOf = (task: TaskView): string => `${task.device?.id} ${task.model}`

/** Rarest source first, newest first within it: a strip of six shows the fleet, not one busy camera. */
function ranked(fresh: readonly TaskView[], shown: readonly TaskView[]): readonly TaskView[] {
  const times = (task: TaskView) => shown.filter((other) => sourceOf(other) === sourceOf(task)).length
  return fresh.toSorted((a, b) => times(a) - times(b) || answeredAt(b).localeCompare(answeredAt(a)))
}

/**
 * The strip one step later: an answer not yet shown takes the place of the oldest one. The others stay where they are, so
 * that a person can look at a picture while more arrive.
 */
export function nextStrip(shown: readonly TaskView[], tasks: readonly TaskView[], places: number): readonly TaskView[] {
  const fresh = tasks.filter((task) => isShowable(task) && !shown.some(({ id }) => id === task.id))
  if (shown.length < places) {
    const newest = fresh.toSorted((a, b) => answeredAt(b).localeCompare(answeredAt(a)))
    return newest.length === 0 ? shown : [...shown, ...newest.slice(0, places - shown.length)]
  }
  const oldest = shown.reduce((a, b) => (answeredAt(b) < answeredAt(a) ? b : a))
  const newestShown = shown.reduce((a, b) => (answeredAt(b) > answeredAt(a) ? b : a))
  const others = shown.filter((task) => task !== oldest)
  const [next] = ranked(
    fresh.filter((task) => answeredAt(task) > answeredAt(newestShown)),
    others,
  )
  return next === undefined ? shown : shown.map((task) => (task === oldest ? next : task))
}
