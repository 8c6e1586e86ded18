// What the console wants served here and is not, and why: a version that was refused is otherwise seen on the console alone.
import { join } from 'node:path'
import { readDesired } from '../packages/desired.ts'
import { openRecord } from '../packages/record.ts'
import { readVerdict } from '../packages/verdicts.ts'
import { type Check, ok, warn } from './check.ts'

/** By the board's own files, so without network, too. None where no console had a say in models yet. */
export function checkWanted(data: string, serve: readonly string[] | undefined): Check[] {
  const name = 'wanted'
  const wanted = readDesired(join(data, 'desired.json'))?.models?.filter(({ id }) => serve?.includes(id) ?? true) ?? []
  if (wanted.length === 0) return []
  const packages = join(data, 'packages')
  const last = openRecord(join(packages, 'served.json'), () => {}).last()
  const unmet = wanted.filter(({ id, release }) => last.get(id)?.release !== release)
  if (unmet.length === 0) return [ok(name, 'every version that the console wants here is served')]
  return unmet.map(({ id, version, release }) => {
    const reason = readVerdict(join(packages, '.verdicts', `${release}.json`))?.reason
    return reason === undefined
      ? warn(
          name,
          `${id}@${version} is not served yet`,
          'the log of the running agent, and its page, say what it waits for',
        )
      : warn(name, `${id}@${version} is refused: ${reason}`, "choose another version on the console's Models page")
  })
}
