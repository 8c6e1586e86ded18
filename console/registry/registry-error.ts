// What keeps a package from being taken in: told to whoever publishes it, in one sentence.

export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly code:
    | 'malformed'
    | 'unknown-publisher'
    | 'bad-signature'
    | 'bad-package'
    | 'version-taken'
    | 'publisher-taken'
    | 'not-expected'
    | 'wrong-bytes'
    | 'disk-full'
    | 'unknown-release'
    | 'unknown-publisher-id'
    | 'nothing-before'
    | 'too-many'
    | 'wrong-state'

  constructor(code: RegistryError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}
