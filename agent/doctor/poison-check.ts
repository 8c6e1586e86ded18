// Inputs that the board refuses because the inference process died over them.
import { readRefused } from '../poison-file.ts'
import { type Check, ok, warn } from './check.ts'

export function checkPoison(data: string): Check {
  const name = 'poison'
  const refused = readRefused(data)
  if (refused === undefined) return ok(name, 'no input is refused for having killed the inference process')
  const { inputs, at, reason } = refused
  const day = new Date(at).toISOString().slice(0, 10)
  return warn(
    name,
    `${inputs} input${inputs === 1 ? ' is' : 's are'} refused, the last since ${day}: ${reason}`,
    'the command `poison` lists them; with {"forget": "all"} they may be run again',
  )
}
