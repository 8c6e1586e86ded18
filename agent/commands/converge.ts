// The command `converge`: ask the console now what should be served. With `retry`, what was refused here is tried again.
import { z } from 'zod'
import { argumentsOf, type Handler } from './commands.ts'

const Args = z.strictObject({ retry: z.boolean().default(false) })

export const convergeHandler =
  (converge: (retry: boolean) => Promise<unknown>): Handler =>
  async (args) =>
    converge(argumentsOf(Args, args).retry)
