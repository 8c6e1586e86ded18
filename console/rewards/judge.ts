// What one receipt item is worth, decided from what the console itself knows of the task. Pure.
import type { ReceiptItem } from '../../broker/protocol/receipts.ts'
import type { TaskState } from '../store/states.ts'

/** The task as the console has it, and the digests that an honest receipt repeats. */
export interface KnownTask {
  readonly state: TaskState
  readonly device: string | undefined
  readonly input: string
  readonly output: string | undefined
  /** sha256 of the model that answered; undefined when the catalogue has no such model. */
  readonly model: string | undefined
  readonly isFree: boolean
  /** Its price went back to the requester, unclaimed for too long. */
  readonly isReleased: boolean
  /** A receipt of it was credited or is held. */
  readonly isClaimed: boolean
}

export type Judgement =
  | { readonly state: 'credited'; readonly reason?: 'own-work' | 'free-of-charge' }
  | { readonly state: 'held'; readonly reason: 'digest-mismatch' | 'unknown-model' }
  | { readonly state: 'rejected'; readonly reason: 'not-leased' | 'claimed-before' | 'too-late' }
  /** The result is not in yet: the whole batch waits for it. */
  | { readonly state: 'waits' }

/** Still this board's to answer: its lease runs, or ended and nobody else took the task. */
const isOpen = ({ state }: KnownTask): boolean => state === 'leased' || state === 'queued'

export function judge(item: ReceiptItem, device: string, task: KnownTask | undefined): Judgement {
  // An owner's pipeline may feed its own board: such work is recorded and pays nothing.
  if (!task) return { state: 'credited', reason: 'own-work' }
  if (task.device !== device) return { state: 'rejected', reason: 'not-leased' }
  if (isOpen(task)) return { state: 'waits' }
  if (task.state !== 'done') return { state: 'rejected', reason: 'not-leased' }
  if (task.isClaimed) return { state: 'rejected', reason: 'claimed-before' }
  if (task.isReleased) return { state: 'rejected', reason: 'too-late' }
  if (item.input !== task.input || item.output !== task.output) return { state: 'held', reason: 'digest-mismatch' }
  if (task.model === undefined) return { state: 'held', reason: 'unknown-model' }
  if (item.model !== task.model) return { state: 'held', reason: 'digest-mismatch' }
  return task.isFree ? { state: 'credited', reason: 'free-of-charge' } : { state: 'credited' }
}
