// Why the console's database cannot be used, as one sentence a person can act on.

export type StoreErrorCode = 'damaged' | 'newer' | 'not-writable'

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode
  readonly file: string

  constructor(code: StoreErrorCode, file: string, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.file = file
  }
}
