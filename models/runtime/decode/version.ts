// The version of an installed package, without loading the package itself.
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'

export function installedVersion(name: string): string {
  const file = findPackageJSON(name, import.meta.url)
  if (file === undefined) throw new Error(`the package ${name} is not installed`)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
