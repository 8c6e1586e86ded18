// The command `poison`: the inputs that this board refuses because the inference process died over them, and their pardon.
import { z } from 'zod'
import { argumentsOf, type Handler } from './commands.ts'

const Args = z.strictObject({
  /** The sha256 of one input, or `all`: it may be run again. */
  forget: z.union([z.literal('all'), z.string().regex(/^[0-9a-f]{64}$/)]).optional(),
})

interface Poisonous {
  /** sha256 of the model file, and of the input. */
  readonly model: string
  readonly input: string
  readonly reason: string
  /** Epoch milliseconds. */
  readonly at: number
}

/** Those who know what is refused. */
interface Suspects {
  /** Oldest first. */
  list(): readonly Poisonous[]
  /** This input, or every one, may be run again. Answers how many were refused. */
  pardon(input: string | undefined): number
}

/** A message has room for about so many. */
const LISTED = 200

export interface PoisonReply {
  readonly forgotten: number
  /** Those that are still refused, newest first; `leftOut` more are older. */
  readonly inputs: readonly (Omit<Poisonous, 'at'> & { readonly at: string })[]
  readonly leftOut: number
}

export const poisonHandler =
  (suspects: Suspects): Handler =>
  async (args) => {
    const { forget } = argumentsOf(Args, args)
    const forgotten = forget === undefined ? 0 : suspects.pardon(forget === 'all' ? undefined : forget)
    const rows = suspects.list().toReversed()
    const inputs = rows
      .slice(0, LISTED)
      .map(({ model, input, reason, at }) => ({ model, input, reason, at: new Date(at).toISOString() }))
    return { forgotten, inputs, leftOut: rows.length - inputs.length } satisfies PoisonReply
  }
