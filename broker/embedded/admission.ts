// Who may open a connection now: token buckets per address and in total, and a cap on connections.

export interface AdmissionLimits {
  readonly connections: number
  readonly pending: number
  readonly connectsPerS: number
  readonly connectBurst: number
  readonly connectsPerSPerAddress: number
  readonly connectBurstPerAddress: number
}

interface Bucket {
  tokens: number
  at: number
}

/** Addresses remembered at once; against a flood from more of them the total still holds. */
const MAX_ADDRESSES = 10_000

/** A clock that was set back gives nothing and takes nothing. */
const filled = ({ tokens, at }: Bucket, perS: number, burst: number, now: number): number =>
  Math.min(burst, tokens + (Math.max(0, now - at) * perS) / 1000)

export interface Admission {
  /** Why this connection is refused, or undefined when it may come in. */
  refusal(
    address: string,
    open: number,
    pending: number,
  ): 'connect-rate' | 'connections-full' | 'pending-full' | undefined
}

export function createAdmission(limits: AdmissionLimits, now: () => number): Admission {
  const total: Bucket = { tokens: limits.connectBurst, at: now() }
  const byAddress = new Map<string, Bucket>()

  function take(bucket: Bucket, perS: number, burst: number): boolean {
    const at = now()
    bucket.tokens = filled(bucket, perS, burst, at)
    bucket.at = at
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }

  /** A Map keeps the order of insertion, so its first key is the address that was quiet for longest. */
  function bucketOf(address: string): Bucket {
    const bucket = byAddress.get(address) ?? { tokens: limits.connectBurstPerAddress, at: now() }
    byAddress.delete(address)
    const [quietest] = byAddress.keys()
    if (byAddress.size >= MAX_ADDRESSES && quietest !== undefined) byAddress.delete(quietest)
    byAddress.set(address, bucket)
    return bucket
  }

  return {
    refusal(address, open, pending) {
      const { connectsPerSPerAddress, connectBurstPerAddress, connectsPerS, connectBurst } = limits
      // The address pays first: one that floods must not use up what the others share.
      if (!take(bucketOf(address), connectsPerSPerAddress, connectBurstPerAddress)) return 'connect-rate'
      if (!take(total, connectsPerS, connectBurst)) return 'connect-rate'
      if (open >= limits.connections) return 'connections-full'
      return pending >= limits.pending ? 'pending-full' : undefined
    },
  }
}
