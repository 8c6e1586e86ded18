// A frame with its answer drawn over it. Frame and boxes change together: boxes are never seen over another frame.
import { useSignal } from '@preact/signals'
import type { RefObject } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type { TaskView } from '../../routes/shapes.ts'
import { describeAnswer } from '../answers.ts'
import type { Size } from '../boxes.ts'
import type { Picture as Loaded } from '../frames.ts'
import { frames } from '../session.ts'
import { clockMs } from '../state.ts'
import { formatAge, isStale } from '../times.ts'
import { Icon } from './icons.tsx'
import { Overlay } from './overlay.tsx'

interface Shown {
  readonly task: TaskView
  /** Undefined: the console no longer keeps the frame. */
  readonly loaded: Loaded | undefined
}

function useShown(task: TaskView): Shown | undefined {
  const shown = useSignal<Shown | undefined>(undefined)
  useEffect(() => {
    let left = false
    const show = (loaded: Loaded | undefined) => {
      if (!left) shown.value = { task, loaded }
    }
    frames.picture(task.id).then(show, () => show(undefined))
    return () => {
      left = true
    }
  }, [task.id, task.state])
  return shown.value
}

function useSize(element: RefObject<HTMLElement | null>): Size {
  const size = useSignal<Size>({ width: 0, height: 0 })
  useEffect(() => {
    if (!element.current) return
    const watch = new ResizeObserver(([entry]) => {
      if (entry) size.value = { width: entry.contentRect.width, height: entry.contentRect.height }
    })
    watch.observe(element.current)
    return () => watch.disconnect()
  }, [])
  return size.value
}

const NoPicture = ({ loading }: { loading: boolean }) => (
  <p class="picture-none">{loading ? 'Fetching the frame…' : 'The frame is no longer kept.'}</p>
)

export interface PictureProps {
  readonly task: TaskView
  /** A tile is as large as its neighbours, whatever the frame; a whole picture is as tall as the frame makes it. */
  readonly shape: 'tile' | 'whole'
  /** A live view says how old its answer is, and looks old when it is. */
  readonly stamp?: boolean
}

export function Picture({ task, shape, stamp }: PictureProps) {
  const host = useRef<HTMLDivElement>(null)
  const view = useSize(host)
  const shown = useShown(task)
  const { loaded } = shown ?? {}
  const answer = shown?.task.answer
  const old = stamp && answer !== undefined && isStale(answer.at, clockMs.value)
  return (
    <div ref={host} class={`picture picture-${shape}${old ? ' picture-old' : ''}`}>
      {loaded ? (
        <img
          src={loaded.url}
          width={loaded.width}
          height={loaded.height}
          alt={answer ? describeAnswer(answer) : 'Frame'}
        />
      ) : (
        <NoPicture loading={shown === undefined} />
      )}
      {loaded && answer && <Overlay answer={answer} frame={loaded} view={view} />}
      {stamp && answer && (
        <span class="stamp">
          {old && <Icon name="clock" />}
          {formatAge(answer.at, clockMs.value)}
        </span>
      )}
    </div>
  )
}
