// What every new task's row begins with.
import type { OpenTask } from './book.ts'

export const taskRow = (task: OpenTask, inputSha256: string) => ({
  id: task.id,
  requester_id: task.requester,
  request_id: task.requestId,
  kind: task.kind,
  model: task.model,
  content_type: task.contentType,
  bytes: task.bytes,
  input_sha256: inputSha256,
  frame_id: task.frameId ?? null,
  deadline_at: task.deadlineAt,
  accepted_at: task.acceptedAt,
  attempts: 0,
  price_units: task.price,
})
