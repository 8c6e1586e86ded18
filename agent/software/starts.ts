// The launcher counts how often a version was started without getting ready, so that one on a damaged card is given up.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** The launcher's MOST_STARTS: it gives the version up at the next one. */
const TOO_OFTEN = 5

/** Files of this version are damaged: no start of it will be any better. False where the disk takes no changes. */
export function condemnStart({ BRAMBLE_SOFTWARE = '', BRAMBLE_SLOT }: Environment): boolean {
  try {
    writeFileSync(join(BRAMBLE_SOFTWARE, 'starts'), `${BRAMBLE_SLOT} ${TOO_OFTEN}\n`, { mode: 0o600, flush: true })
    return true
  } catch {
    return false
  }
}

/** This start was in order: the service is ready, or it ended for a reason that is no fault of the version and told so. */
export function excuseStart({ BRAMBLE_SOFTWARE }: Environment): void {
  if (BRAMBLE_SOFTWARE === undefined) return
  try {
    rmSync(join(BRAMBLE_SOFTWARE, 'starts'), { force: true })
  } catch {
    // A disk that takes no changes takes no counts either.
  }
}
