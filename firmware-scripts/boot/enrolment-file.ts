// bramble.toml as a person wrote it: a small part of TOML (strings, one table, comments), every fault with its line.

export interface Wifi {
  readonly ssid: string
  /** Absent: an open network. */
  readonly password?: string
  /** Two letters; which channels may be used. */
  readonly country?: string
}

export interface EnrolmentFile {
  readonly console: string
  /** Absent: used and erased. */
  readonly token?: string
  readonly name?: string
  /** `used`: its password is erased, and what was made of it stands. */
  readonly wifi?: Wifi | 'used'
}

export type Read =
  | { readonly ok: true; readonly file: EnrolmentFile }
  | { readonly ok: false; readonly faults: string[] }

/** Value must fit; else the sentence is said after the key. */
interface Rule {
  readonly fits: (value: string) => boolean
  readonly must: string
}

const isWebAddress = (value: string): boolean => /^https?:$/.test(URL.parse(value)?.protocol ?? '')
const bytes = (value: string): number => Buffer.byteLength(value)
const hasControl = (value: string): boolean => /\p{Cc}/u.test(value)

const RULES = new Map<string, Rule>(
  Object.entries({
    console: { fits: isWebAddress, must: 'must be the address of the console, as http://192.168.1.2:8080' },
    token: {
      fits: (value) => /^\S{0,512}$/.test(value),
      must: 'must be the token as the console showed it, without spaces',
    },
    name: {
      fits: (value) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(value),
      must: 'must be 1 to 63 letters, digits and hyphens, as porch-2',
    },
    'wifi.ssid': {
      fits: (value) => bytes(value) >= 1 && bytes(value) <= 32 && !hasControl(value),
      must: 'must be the name of the network, up to 32 bytes',
    },
    'wifi.password': {
      fits: (value) => value === '' || /^[\x20-\x7e]{8,63}$/.test(value) || /^[0-9a-f]{64}$/i.test(value),
      must: 'must have 8 to 63 characters, as WPA passwords do',
    },
    'wifi.country': { fits: (value) => /^[A-Z]{2}$/.test(value), must: 'must be two capital letters, as DE' },
  }),
)
const TABLES = new Set(['wifi'])

interface Line {
  readonly number: number
  readonly key: string
  readonly value: string
}

/** TOML's escapes; undefined where there is another one. */
const ESCAPES: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', t: '\t', n: '\n', r: '\r', b: '\b', f: '\f' }

function unescaped(text: string): string | undefined {
  let known = true
  const value = text.replace(/\\(?:u([0-9a-fA-F]{4})|(.?))/g, (_, code: string | undefined, letter: string) => {
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
    const meant = ESCAPES[letter]
    if (meant === undefined) known = false
    return meant ?? ''
  })
  return known ? value : undefined
}

const AS_UTF_8 = 'save it as UTF-8, in Notepad by "Save as" and then "Encoding"; PowerShell needs -Encoding utf8'
/** Every other byte of it is zero. */
const UTF_16 = `the file is saved as UTF-16: ${AS_UTF_8}`

/** A PC's editor may have put curly quotes. */
const CURLY = /[\u201c\u201d\u201e\u2018\u2019]/

/** Undefined: what stands after the `=` is no string. */
function stringIn(text: string): string | undefined {
  const [, basic, literal] = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)')\s*(?:#.*)?$/.exec(text) ?? []
  return basic === undefined ? literal : unescaped(basic)
}

interface Misread {
  readonly fault: string
  /** Absent: not even that is clear. */
  readonly key?: string
}

function readLine(text: string, number: number, table: string): Line | Misread {
  const [, name, rest] = /^([A-Za-z0-9_-]+)\s*=\s*(.*)$/.exec(text) ?? []
  if (name === undefined || rest === undefined)
    return { fault: `line ${number} is not understood: it should look like  console = "http://192.168.1.2:8080"` }
  const key = table === '' ? name : `${table}.${name}`
  if (rest.includes('\ufffd'))
    return { key, fault: `line ${number}: ${key} has a letter in another encoding: ${AS_UTF_8}` }
  const value = stringIn(rest)
  if (value !== undefined) return { number, key, value }
  return CURLY.test(rest)
    ? { key, fault: `line ${number}: ${key} stands between curly quotes; use straight ones, as "this"` }
    : { key, fault: `line ${number}: the value of ${key} must stand between straight quotes, as ${key} = "this"` }
}

/** `text` may come from Windows: a byte order mark and CR LF are no fault. */
export function readEnrolmentFile(text: string): Read {
  if (text.includes('\0')) return { ok: false, faults: [UTF_16] }
  const faults: string[] = []
  const found = new Map<string, Line>()
  const seen = new Set<string>()
  let table = ''
  for (const [index, raw] of text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    const number = index + 1
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const [, header] = /^\[\s*([A-Za-z0-9_-]+)\s*\]\s*(?:#.*)?$/.exec(line) ?? []
    if (header !== undefined) {
      table = header
      if (!TABLES.has(header)) faults.push(`line ${number}: there is no part [${header}]; there is only [wifi]`)
      continue
    }
    const read = readLine(line, number, table)
    if ('fault' in read) faults.push(read.fault)
    else faults.push(...place(read, found))
    if (read.key !== undefined) seen.add(read.key)
  }
  faults.push(...missing(seen))
  return faults.length > 0 ? { ok: false, faults } : { ok: true, file: fileOf(found) }
}

function place(line: Line, found: Map<string, Line>): string[] {
  const { number, key, value } = line
  const rule = RULES.get(key)
  const before = found.get(key)
  const top = key.replace('wifi.', '')
  if (rule === undefined && RULES.has(top))
    return [`line ${number}: ${top} stands below [wifi]; put it above that line`]
  if (rule === undefined)
    return [`line ${number}: there is no setting ${key}; there are ${[...RULES.keys()].join(', ')}`]
  if (before !== undefined) return [`line ${number}: ${key} stands in line ${before.number} already`]
  found.set(key, line)
  return rule.fits(value) ? [] : [`line ${number}: ${key} ${rule.must}`]
}

function missing(seen: ReadonlySet<string>): string[] {
  const faults: string[] = []
  const isThere = (key: string): boolean => seen.has(key) || seen.has(`wifi.${key}`)
  if (!isThere('console')) faults.push('console is missing: the address of the console')
  if (!isThere('token')) faults.push('token is missing: the enrolment token from the console')
  const speaksOfWifi = [...seen].some((key) => key.startsWith('wifi.'))
  if (speaksOfWifi && !seen.has('wifi.ssid')) faults.push('wifi.ssid is missing: the name of the network')
  return faults
}

/** Empty is absent: what was used is erased to nothing, and nobody need delete a line. */
function fileOf(found: ReadonlyMap<string, Line>): EnrolmentFile {
  const said = (key: string): string | undefined => found.get(key)?.value || undefined
  const [token, name, ssid] = [said('token'), said('name'), said('wifi.ssid')]
  const [password, country] = [said('wifi.password'), said('wifi.country')]
  const wifi = ssid !== undefined && { ssid, ...(password && { password }), ...(country && { country }) }
  const isUsed = found.get('wifi.password')?.value === ''
  return {
    console: said('console') ?? '',
    ...(token && { token }),
    ...(name && { name }),
    ...(wifi && { wifi: isUsed ? 'used' : wifi }),
  }
}

const SECRET = /^(\s*(?:token|password)\s*=\s*)(["'])(.*)\2(.*)$/s

/**
 * The same text with the secrets gone, exactly as long: written over the old bytes, they are gone from the card's blocks too.
 */
export const withoutSecrets = (text: string): string =>
  text
    .split(/(\r\n|\n|\r)/)
    .map((part) =>
      part.replace(SECRET, (_, head: string, quote: string, secret: string, tail: string) => {
        const blanks = ' '.repeat(Buffer.byteLength(secret))
        return `${head}${quote}${quote}${tail}${blanks}`
      }),
    )
    .join('')
