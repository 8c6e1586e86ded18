// What is the case on this board now, put together from the disk, what was found out, and what is served: what plans are made from.
import { type Release, type VerifiedRelease, verifyRelease } from '../../broker/protocol/packages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import { faultOfList } from '../../models/contents.ts'
import type { Serving } from '../frames/serving.ts'
import type { Cache, OnDisk } from './cache.ts'
import type { Holds } from './holds.ts'
import { type Current, FROM_FOLDER, type Known, type Target, type Wanted } from './plan.ts'
import type { ServedRecord } from './record.ts'
import type { Publishers } from './trust.ts'
import type { Verdicts } from './verdicts.ts'

export interface Signed {
  readonly release: Release
  readonly folder: string
}

export interface View extends Current {
  /** Of every release on disk whose publisher is trusted. */
  readonly signed: ReadonlyMap<string, Signed>
}

interface Options {
  readonly cache: Pick<Cache, 'look' | 'missing'>
  readonly verdicts: Pick<Verdicts, 'of' | 'refused'>
  readonly record: Pick<ServedRecord, 'last' | 'recent'>
  readonly holds: Pick<Holds, 'waiting'>
  readonly serving: Pick<Serving, 'served'>
  /** The packages of the board's own folder, by id. */
  readonly folder: ReadonlyMap<string, ModelPackage>
  /** Of a package that was opened from a release: its digest. */
  readonly releaseOf: (pkg: ModelPackage) => string | undefined
  readonly publishers: () => Publishers
  /** Agent and runtime; undefined until the inference host has said what it runs on. */
  readonly under: () => string | undefined
  readonly quotaBytes: number
}

const DISTRUST = {
  malformed: 'it is no release',
  'unknown-publisher': 'its publisher is not trusted on this board',
  'bad-signature': "its signature is not its publisher's",
} as const satisfies Record<Extract<VerifiedRelease, { ok: false }>['reason'], string>

interface Judged {
  /** When its publisher is trusted. */
  readonly release?: Release
  readonly refused?: string
}

export function createView(options: Options): { look(target: Target): Promise<View> } {
  const { cache, verdicts, record, holds, serving, folder, quotaBytes } = options

  /** Anew each time: a publisher that is not trusted any more is not served any longer. */
  function judge(release: string, { jws }: OnDisk, wanted: Wanted | undefined): Judged {
    const verified = verifyRelease(jws, (publisher) => options.publishers().get(publisher))
    if (!verified.ok) return { refused: DISTRUST[verified.reason] }
    const { id, version } = verified.release
    if (wanted && (wanted.id !== id || wanted.version !== version))
      return { refused: `the console calls it ${wanted.id}@${wanted.version}, its publisher signed ${id}@${version}` }
    const refused = faultOfList(verified.release) ?? verdictOn(release)?.reason
    return { release: verified.release, ...(refused !== undefined && { refused }) }
  }

  const verdictOn = (release: string) => {
    const under = options.under()
    return under === undefined ? undefined : verdicts.of(release, under)
  }

  async function known(release: string, onDisk: OnDisk, judged: Judged): Promise<Known> {
    const files = judged.release?.files ?? []
    const verdict = verdictOn(release)
    return {
      stage: onDisk.stage,
      missing: onDisk.stage === 'staged' ? await cache.missing(onDisk.folder, files) : [],
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      proven: verdict !== undefined && verdict.reason === undefined,
      ...(judged.refused !== undefined && { refused: judged.refused }),
    }
  }

  function refusedBefore(): [string, Known][] {
    const under = options.under()
    const refused = under === undefined ? [] : [...verdicts.refused(under)]
    return refused.map(([release, reason]) => [
      release,
      { stage: 'none', missing: [], bytes: 0, proven: false, refused: reason },
    ])
  }

  return {
    async look(target) {
      const wanted = new Map(target === 'folder' ? [] : target.map((one) => [one.release, one]))
      const releases = new Map<string, Known>(refusedBefore())
      const signed = new Map<string, Signed>()
      for (const [release, onDisk] of await cache.look()) {
        const judged = judge(release, onDisk, wanted.get(release))
        if (judged.release) signed.set(release, { release: judged.release, folder: onDisk.folder })
        releases.set(release, await known(release, onDisk, judged))
      }
      const served = serving.served().map((pkg) => [pkg.manifest.id, options.releaseOf(pkg) ?? FROM_FOLDER] as const)
      return {
        served: new Map(served),
        releases,
        signed,
        last: record.last(),
        folder: new Set(folder.keys()),
        held: holds.waiting(),
        recent: record.recent(),
        quotaBytes,
      }
    },
  }
}
