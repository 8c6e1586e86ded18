// Which bytes of a file an HTTP request asks for (RFC 9110, sections 13 and 14): one range, or all of it. Pure.

export interface Conditions {
  readonly range?: string | undefined
  readonly ifRange?: string | undefined
  readonly ifMatch?: string | undefined
  readonly ifNoneMatch?: string | undefined
}

/** `last` is inclusive, as on the wire. */
export type Slice =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly first: number; readonly last: number }
  /** 304, 412 and 416. */
  | { readonly kind: 'unchanged' | 'mismatch' | 'unsatisfiable' }

const WHOLE: Slice = { kind: 'whole' }

const tagsOf = (header: string): string[] => header.split(',').map((tag) => tag.trim())

/** `*` or a list; weakly compared, so that `W/"x"` stands for `"x"` (13.1.2). */
const names = (header: string, etag: string): boolean =>
  header.trim() === '*' || tagsOf(header).some((tag) => tag.replace(/^W\//, '') === etag)

/** One range in bytes. What is not understood, or asks for several at once, is ignored, as 14.2 allows. */
function partOf(range: string, size: number): Slice {
  const [, from = '', to = ''] = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(range) ?? []
  if (from === '' && to === '') return WHOLE
  if (from === '') {
    const length = Math.min(Number(to), size)
    return length === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', first: size - length, last: size - 1 }
  }
  const first = Number(from)
  if (to !== '' && Number(to) < first) return WHOLE
  if (first >= size) return { kind: 'unsatisfiable' }
  return { kind: 'part', first, last: to === '' ? size - 1 : Math.min(Number(to), size - 1) }
}

/** `etag` is strong and quoted. The order of the checks is that of 13.2.2. */
export function sliceOf({ range, ifRange, ifMatch, ifNoneMatch }: Conditions, etag: string, size: number): Slice {
  if (ifMatch !== undefined && ifMatch.trim() !== '*' && !tagsOf(ifMatch).includes(etag)) return { kind: 'mismatch' }
  if (ifNoneMatch !== undefined && names(ifNoneMatch, etag)) return { kind: 'unchanged' }
  if (range === undefined) return WHOLE
  // A weak tag or a date does not promise the same bytes, so the whole file is the safe answer (13.1.5).
  if (ifRange !== undefined && ifRange.trim() !== etag) return WHOLE
  return partOf(range, size)
}
