// Why a package does not come along just now. What will be tried again is told apart from what never will by who says so: a
// fault is tried again, a verdict (verdicts.ts) is not.

export class PackageFault extends Error {
  override readonly name = 'PackageFault'
  /** `forbidden`: the credential was refused. `bad-answer`, `wrong-bytes`: the other side errs or lies. */
  readonly code:
    | 'unreachable'
    | 'forbidden'
    | 'not-there'
    | 'bad-answer'
    | 'wrong-bytes'
    | 'no-room'
    | 'damaged'
    | 'busy'
    | 'not-proven'
  constructor(code: PackageFault['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}
