// Whether a release may run on this board: pure, so that every reason is told before anything of it is on the disk.
import type { Desired, Verified } from '../../broker/protocol/packages.ts'
import { type Arch, type SoftwareRelease, verifySoftware } from '../../broker/protocol/software.ts'

export type Wish = NonNullable<Desired['software']>

export interface Board {
  readonly arch: Arch
  /** Publishers of software that this board trusts, by id. */
  readonly keys: ReadonlyMap<string, string>
  /** The highest layout of buffer.db that the version which runs can read. */
  readonly outboxReads: number
}

export type Judged =
  | { readonly ok: true; readonly release: SoftwareRelease }
  | { readonly ok: false; readonly reason: string }

export const NO_KEYS =
  'this board trusts no publisher of software: install a package that was made with --software-key, or set BRAMBLE_TRUST_SOFTWARE=ID:KEY'

const DISTRUST = {
  malformed: 'what the console gave is no release of software',
  'unknown-publisher': 'its publisher is not one whose software this board trusts',
  'bad-signature': "its signature is not its publisher's",
} as const satisfies Record<Extract<Verified<unknown>, { ok: false }>['reason'], string>

export function judge(jws: string, wish: Wish, { arch, keys, outboxReads }: Board): Judged {
  const verified = verifySoftware(jws, (publisher) => keys.get(publisher))
  if (!verified.ok) return { ok: false, reason: DISTRUST[verified.reason] }
  const { release } = verified
  const reason = faultOf(release, wish, arch, outboxReads)
  return reason === undefined ? { ok: true, release } : { ok: false, reason }
}

function faultOf(release: SoftwareRelease, wish: Wish, arch: Arch, outboxReads: number): string | undefined {
  if (release.arch !== arch) return `it is for ${release.arch}, and this board is ${arch}`
  if (release.version !== wish.version)
    return `the console calls it ${wish.version}, its publisher signed ${release.version}`
  if (release.outbox > outboxReads)
    return `it writes layout ${release.outbox} of the outbox and the version that runs reads up to ${outboxReads}, so the board could not go back: first it needs a version that reads layout ${release.outbox}`
  if (!release.files.some(({ path, run }) => path === 'node' && run)) return 'it brings no Node'
  return undefined
}
