// What a board is told of who asks: enough to share itself fairly between requesters, not enough to learn who they are.
import { createHmac } from 'node:crypto'

/** 16 hex digits, the same for all tasks of a requester as long as the secret lives. Ids are short words: without it they could be guessed. */
export function createAlias(secret: string): (requester: string) => string {
  return (requester) => createHmac('sha256', secret).update(requester).digest('hex').slice(0, 16)
}
