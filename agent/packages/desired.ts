// What the console wants of this board: asked for again and again, and kept on disk, so that a board without network does
// what it was told last.
import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { Desired, PACKAGE_PATHS } from '../../broker/protocol/packages.ts'
import type { Arch } from '../../broker/protocol/software.ts'
import { askHttp, reasonOf } from '../membership/http.ts'
import { writePrivate } from '../private-file.ts'
import { PackageFault } from './fault.ts'

/** Of the whole question: an answer that dribbles is no answer. */
const LIMIT_MS = 60_000

export interface ConsoleAccess {
  /** http(s)://host:port */
  readonly url: string
  /** The board's credential, as it is now. */
  readonly bearer: () => string
}

export const headersOf = ({ bearer }: ConsoleAccess): Record<string, string> => ({
  authorization: `Bearer ${bearer()}`,
  // What is counted and hashed is what was sent.
  'accept-encoding': 'identity',
})

/** What a status other than 2xx means. */
export function faultOf(url: string, status: number): PackageFault {
  const said = `the console at ${url} answered HTTP status ${status}`
  if (status === 401 || status === 403)
    return new PackageFault('forbidden', `${said}: it does not know this credential`)
  if (status === 404 || status === 410) return new PackageFault('not-there', `${said}: it does not have it`)
  if (status >= 300 && status < 400) return new PackageFault('bad-answer', `${said}: redirects are not followed`)
  return new PackageFault(status >= 500 || status === 429 ? 'unreachable' : 'bad-answer', said)
}

export interface DesiredState {
  /** Undefined until a console said something. */
  current(): Desired | undefined
  /** Asks the console; true when it wants something else than before. Rejects with PackageFault. */
  ask(signal: AbortSignal): Promise<boolean>
  /** This board's clock minus the console's, ms; undefined until it has said something. */
  skewMs(): number | undefined
}

interface Options {
  readonly file: string
  /** Of this board: the console names a version of the agent for it. */
  readonly arch?: Arch
  readonly console: ConsoleAccess
  readonly now: () => number
  readonly elapsed: () => number
  readonly log: Logger
}

export function createDesired({ file, arch, console, now, elapsed, log }: Options): DesiredState {
  let current = readDesired(file)
  let kept = current && wishOf(current)
  /** The console's time when `elapsed` was 0: what is known of it does not change when this board's clock is set. */
  let beginning: number | undefined

  async function fetchDesired(signal: AbortSignal): Promise<Desired> {
    const sent = elapsed()
    const { status, json } = await send(signal)
    if (status !== 200) throw faultOf(console.url, status)
    const parsed = Desired.safeParse(json)
    if (!parsed.success)
      throw new PackageFault(
        'bad-answer',
        `the console at ${console.url} gave no desired state: ${parsed.error.message}`,
      )
    // The answer was made about halfway.
    beginning = parsed.data.now - (sent + elapsed()) / 2
    return parsed.data
  }

  async function send(signal: AbortSignal) {
    try {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)])
      const target = new URL(PACKAGE_PATHS.desired, console.url)
      if (arch !== undefined) target.searchParams.set('arch', arch)
      return await askHttp(target, {
        headers: headersOf(console),
        signal: limited,
      })
    } catch (error) {
      throw new PackageFault(
        'unreachable',
        `the console at ${console.url} cannot be reached (${reasonOf(error)})`,
        error,
      )
    }
  }

  function keep(asked: Desired, wish: string): void {
    try {
      writePrivate(file, `${JSON.stringify(asked)}\n`)
      kept = wish
    } catch (error) {
      log.error(
        { err: error },
        'what the console wants could not be kept on disk: a restart without network forgets it',
      )
    }
  }

  return {
    current: () => current,
    async ask(signal) {
      const asked = await fetchDesired(signal)
      const wish = wishOf(asked)
      const changed = current === undefined || wish !== wishOf(current)
      current = asked
      // The console's clock differs each time: no reason to write to the card. What could not be written is written later.
      if (wish !== kept) keep(asked, wish)
      return changed
    },
    skewMs: () => (beginning === undefined ? undefined : Math.round(now() - elapsed() - beginning)),
  }
}

const wishOf = ({ now: _, ...wish }: Desired): string => JSON.stringify(wish)

/** A damaged file is as good as none: the console is asked at the start anyway. */
export function readDesired(file: string): Desired | undefined {
  try {
    return Desired.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined
  }
}
