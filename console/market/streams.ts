// Stream frames that wait for a board: one per requester and model, the newest. They are no rows and no promise; one that
// is dropped is counted with its reason, and its sender is told now and then.
import type { OpenTask } from './book.ts'

export interface WaitingFrame {
  readonly task: OpenTask
  readonly data: Uint8Array
  readonly inputSha256: string
}

export interface Streams {
  /** Takes the newest frame in and returns the older one that it replaces. */
  replace(frame: WaitingFrame): WaitingFrame | undefined
  get(taskId: string): WaitingFrame | undefined
  remove(taskId: string): void
  /** Forgets all that wait and returns them. */
  clear(): readonly WaitingFrame[]
  readonly size: number
  /** True when the sender is to be told of a drop; `missed` counts those it was not told of before. */
  notice(frame: Pick<OpenTask, 'requester' | 'model'>, reason: string, now: number): { missed: number } | undefined
}

const streamOf = ({ requester, model }: Pick<OpenTask, 'requester' | 'model'>): string => `${requester}/${model}`

export function createStreams(noticeMs: number): Streams {
  const newest = new Map<string, WaitingFrame>()
  const byId = new Map<string, WaitingFrame>()
  const notices = new Map<string, { at: number; missed: number }>()

  function remove(taskId: string): void {
    const frame = byId.get(taskId)
    if (!frame) return
    byId.delete(taskId)
    if (newest.get(streamOf(frame.task)) === frame) newest.delete(streamOf(frame.task))
  }

  return {
    replace(frame) {
      const older = newest.get(streamOf(frame.task))
      if (older) remove(older.task.id)
      newest.set(streamOf(frame.task), frame)
      byId.set(frame.task.id, frame)
      return older
    },
    get: (taskId) => byId.get(taskId),
    remove,
    clear() {
      const all = [...byId.values()]
      newest.clear()
      byId.clear()
      return all
    },
    get size() {
      return newest.size
    },
    notice(frame, reason, now) {
      const key = `${streamOf(frame)}/${reason}`
      const last = notices.get(key)
      if (last && now - last.at < noticeMs) {
        last.missed += 1
        return undefined
      }
      notices.set(key, { at: now, missed: 0 })
      return { missed: last?.missed ?? 0 }
    },
  }
}
