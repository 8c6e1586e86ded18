// Keeps the credential fresh: renewed at two thirds of its life, and at once when the broker refuses it.
import type { Logger } from 'pino'
import { renewalAt, type StoredCredential } from './credential.ts'
import { EnrolError } from './enroll.ts'

export interface Renewal {
  /** The newest credential. */
  current(): StoredCredential
  /** Renews now if it is due; true when the credential is valid afterwards. Throws EnrolError `refused` once it expired. */
  check(): Promise<boolean>
  /** The broker refused the credential, or cannot be reached where it says: ask for another one now, whatever its date says. */
  doubt(): void
  /** Runs until aborted. */
  run(signal: AbortSignal): Promise<void>
}

/** A refused or unreachable console is asked again no sooner; a far date is looked at again every day (timers overflow at 24 days). */
const RETRY_MS = { first: 5_000, longest: 10 * 60_000 } as const
const DAY_MS = 86_400_000
/**
 * A fresh credential that looks old (a wrong clock) or is refused has another fault, which may last for weeks: the console is asked
 * ever more rarely.
 */
const DOUBT_MS = { first: 60_000, longest: 3_600_000 } as const

interface Options {
  readonly credential: StoredCredential
  readonly renew: (old: StoredCredential, signal?: AbortSignal) => Promise<StoredCredential>
  readonly save: (credential: StoredCredential) => void
  readonly now: () => number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly log: Logger
}

export function createRenewal({ credential, renew, save, now, sleep, log }: Options): Renewal {
  let current = credential
  let doubted = false
  let failures = 0
  let patienceMs: number = DOUBT_MS.first
  let wake: (() => void) | undefined

  const isExpired = (): boolean => now() >= Date.parse(current.expiresAt)
  const ageMs = (): number => Math.abs(now() - Date.parse(current.obtainedAt))
  const isDue = (): boolean => doubted || now() >= renewalAt(current)

  async function check(signal?: AbortSignal): Promise<boolean> {
    if (!isDue()) return true
    try {
      take(await renew(current, signal))
      return true
    } catch (error) {
      if (!(error instanceof EnrolError)) throw error
      if (signal?.aborted) return !isExpired()
      failures += 1
      if (failures === 1)
        log.warn({ reason: error.message, expiresAt: current.expiresAt }, 'the credential was not renewed')
      if (error.code === 'refused' && isExpired()) throw error
      return !isExpired()
    }
  }

  function take(renewed: StoredCredential): void {
    const wasSoon = ageMs() < 2 * patienceMs
    patienceMs = wasSoon ? Math.min(DOUBT_MS.longest, 2 * patienceMs) : DOUBT_MS.first
    current = renewed
    doubted = false
    failures = 0
    log.info({ expiresAt: current.expiresAt }, 'credential renewed')
    try {
      save(current)
    } catch (error) {
      log.error({ err: error }, 'the renewed credential could not be kept: the next start asks for another one')
    }
  }

  function delayMs(): number {
    if (failures > 0) return Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** (failures - 1))
    return Math.min(DAY_MS, Math.max(patienceMs, renewalAt(current) - now()))
  }

  return {
    current: () => current,
    check: () => check(),
    doubt() {
      if (ageMs() < patienceMs) return
      doubted = true
      if (failures === 0) wake?.()
    },
    async run(signal) {
      while (!signal.aborted) {
        const nap = new AbortController()
        wake = () => nap.abort()
        await sleep(delayMs(), AbortSignal.any([signal, nap.signal]))
        if (signal.aborted) return
        await check(signal).catch((error: unknown) => log.error({ err: error }, 'this board must be enrolled again'))
      }
    },
  }
}
