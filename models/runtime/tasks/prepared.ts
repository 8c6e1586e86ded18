// What every task hands from its decoding half to its running half.
import type { Prediction } from '../../../broker/protocol/messages.ts'
import type { Session } from '../session.ts'

export interface InputFrame {
  readonly contentType: string
  readonly data: Uint8Array
}

export interface Answer {
  readonly prediction: Prediction
  readonly digest: string
}

/** A frame turned into tensors. `run` is the model and what is made of its outputs. */
export interface Prepared {
  run(session: Session): Promise<Answer>
  /** Gives buffers back, whether it ran or not. */
  release(): void
}

/** Throws RunFailure `bad-frame` or `bad-tensor`. */
export type Prepare = (frame: InputFrame) => Promise<Prepared>
