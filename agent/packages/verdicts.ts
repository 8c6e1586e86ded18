// What this board found out about a release by checking and proving it: kept on disk, so that a bad one is not downloaded again
// at each start. A verdict holds as long as agent and runtime stay the same.
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { WriteNote } from './record.ts'

const Verdict = z.object({
  /** Version of the agent and everything that decides the bits of an answer. */
  under: z.string(),
  /** Absent: it is right on this board. */
  reason: z.string().optional(),
})
export type Verdict = z.infer<typeof Verdict>

export interface Verdicts {
  /** Undefined where nothing is known under these circumstances. */
  of(release: string, under: string): Verdict | undefined
  /** All that were refused under these circumstances, with the reason. */
  refused(under: string): ReadonlyMap<string, string>
  set(release: string, verdict: Verdict): void
  forget(release: string): void
  /** Forgets all but these. */
  retain(releases: ReadonlySet<string>): void
}

const NAME = /^([0-9a-f]{64})\.json$/

export function openVerdicts(folder: string, write: WriteNote): Verdicts {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const known = new Map<string, Verdict>()
  for (const name of readdirSync(folder)) {
    const release = NAME.exec(name)?.[1]
    const verdict = release === undefined ? undefined : readVerdict(join(folder, name))
    if (release !== undefined && verdict) known.set(release, verdict)
  }
  function forget(release: string): void {
    known.delete(release)
    rmSync(join(folder, `${release}.json`), { force: true })
  }

  return {
    of(release, under) {
      const verdict = known.get(release)
      return verdict?.under === under ? verdict : undefined
    },
    refused: (under) =>
      new Map(
        [...known].flatMap(([release, { under: u, reason }]) =>
          u === under && reason !== undefined ? [[release, reason]] : [],
        ),
      ),
    set(release, verdict) {
      known.set(release, verdict)
      write(join(folder, `${release}.json`), `${JSON.stringify(verdict)}\n`)
    },
    forget,
    retain(releases) {
      for (const release of [...known.keys()].filter((one) => !releases.has(one))) forget(release)
    },
  }
}

/** A damaged one is as good as none: the release is proven again. */
export function readVerdict(file: string): Verdict | undefined {
  try {
    return Verdict.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined
  }
}
