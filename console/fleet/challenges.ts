// Challenges for renewal: told apart from made-up ones by an HMAC, so asking for a million of them stores nothing.
import { createHmac, timingSafeEqual } from 'node:crypto'

const LIFETIME_MS = 120_000

export interface Challenges {
  make(): string
  /** True once per challenge of ours, within two minutes. */
  redeem(challenge: string): boolean
}

export interface ChallengesOptions {
  readonly now: () => number
  readonly randomBytes: (size: number) => Buffer
}

/** The secret lives as long as the process: after a restart a board asks for a new challenge. */
export function createChallenges({ now, randomBytes }: ChallengesOptions): Challenges {
  const secret = randomBytes(32)
  const used = new Map<string, number>()
  const seal = (text: string): Buffer => createHmac('sha256', secret).update(text).digest()

  const forgetOld = (): void => {
    for (const [challenge, madeAt] of used) if (now() - madeAt > LIFETIME_MS) used.delete(challenge)
  }

  return {
    make() {
      const text = `${now()}.${randomBytes(16).toString('base64url')}`
      return `${text}.${seal(text).toString('base64url')}`
    },

    redeem(challenge) {
      const [madeAt = '', nonce = '', mark = ''] = challenge.split('.')
      const expected = seal(`${madeAt}.${nonce}`)
      const given = Buffer.from(mark, 'base64url')
      if (given.byteLength !== expected.byteLength || !timingSafeEqual(given, expected)) return false
      if (now() - Number(madeAt) > LIFETIME_MS || used.has(challenge)) return false
      forgetOld()
      used.set(challenge, Number(madeAt))
      return true
    },
  }
}
