// Why a frame could not be answered, thrown inside the inference process and turned into an answer at its edge.
import type { ErrorCode } from '../../broker/protocol/messages.ts'

/** The sender's fault (`bad-*`) or the model's (`model-failed`); the message is for the sender. */
export class RunFailure extends Error {
  readonly code: Extract<ErrorCode, 'bad-frame' | 'bad-tensor' | 'model-failed'>
  constructor(code: RunFailure['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'RunFailure'
    this.code = code
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
