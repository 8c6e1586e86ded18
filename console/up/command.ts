// What the commands share that speak to a running console: how it is found, and how a fault is told.
import { resolve } from 'node:path'
import { type ArgsDef, defineCommand, type ParsedArgs } from 'citty'
import { surplusOf } from '../../broker/surplus.ts'
import { type ConsoleApi, ConsoleFault, createConsoleApi, findConsole } from './console-api.ts'

const FAILED = 1
const EXPLAINED: ReadonlySet<string> = new Set([
  'CatalogError',
  'ChainError',
  'ConsoleFault',
  'ProofError',
  'RegistryError',
  'SecretError',
])

export const toConsole = {
  url: { type: 'string', description: "The console's address (from DATA/ready.json)" },
  token: { type: 'string', description: "The console's token (BRAMBLE_TOKEN, or from DATA/ready.json)" },
  data: { type: 'string', default: './data', description: "The console's data folder" },
} satisfies ArgsDef

export async function apiOf({ url, token, data }: ParsedArgs<typeof toConsole>): Promise<ConsoleApi> {
  const given = token ?? process.env['BRAMBLE_TOKEN']
  return createConsoleApi(
    await findConsole({
      data: resolve(data),
      ...(url !== undefined && { url }),
      ...(given !== undefined && { token: given }),
    }),
  )
}

/** Tells a fault that explains itself in one line, with exit code 1. */
async function explained(work: () => Promise<string>): Promise<void> {
  try {
    process.stdout.write(`${await work()}\n`)
  } catch (error) {
    if (!(error instanceof Error) || !EXPLAINED.has(error.name)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = FAILED
  }
}

export function command<A extends ArgsDef>(
  name: string,
  description: string,
  args: A,
  run: (args: ParsedArgs<A>) => Promise<string>,
) {
  return defineCommand<A>({
    meta: { name, description },
    args,
    run: ({ args: given }) =>
      explained(async () => {
        const [first] = surplusOf(given, args)
        // `--devise dev-…` must not become a change for the whole fleet.
        if (first !== undefined) throw new ConsoleFault('unreadable', `${first}; --help names those there are`)
        return run(given)
      }),
  })
}

export const needed = (value: string | undefined, name: string): string => {
  if (value === undefined || value === '') throw new ConsoleFault('unreadable', `--${name} is needed`)
  return value
}
