// What somebody typed and no command reads: citty lets it pass, and a mistyped option would be as good as none.
import type { ArgsDef } from 'citty'

const camel = (name: string): string => name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())

/** One sentence for each. */
export function surplusOf(
  args: { readonly _: readonly string[] } & Readonly<Record<string, unknown>>,
  defs: ArgsDef,
): string[] {
  const names = new Set(['_', ...Object.keys(defs).flatMap((name) => [name, camel(name)])])
  const unknown = Object.keys(args).filter((name) => !names.has(name))
  // What stands behind an unknown option was meant for it.
  if (unknown.length > 0) return unknown.map((name) => `--${name}: there is no such option`)
  const places = Object.values(defs).filter(({ type }) => type === 'positional').length
  return args._.slice(places).map((word) => `${word}: one word too many`)
}
