// The launcher counts how often a version was started without getting ready, so that one on a damaged card is given up.
import { rmSync } from 'node:fs'
import { join } from 'node:path'

/** This start was in order: the service is ready, or it ended for a reason that is no fault of the version and told so. */
export function excuseStart({ BRAMBLE_SOFTWARE }: Readonly<Record<string, string | undefined>>): void {
  if (BRAMBLE_SOFTWARE === undefined) return
  try {
    rmSync(join(BRAMBLE_SOFTWARE, 'starts'), { force: true })
  } catch {
    // A disk that takes no changes takes no counts either.
  }
}
