// Which board gets a task: among those online that serve the model and have room, the least loaded; among equals the
// one that was served longest ago, so that idle boards earn alike.

export interface Candidate {
  readonly device: string
  /** Model ids it serves. */
  readonly models: readonly string[]
  /** Frames waiting or running there, as its last heartbeat said; ours are among them. */
  readonly queue: number
  /** How many tasks it may hold at once; the dispatcher's default when absent. */
  readonly window?: number
}

export interface Load {
  /** Leases of ours that it holds now. */
  readonly outstanding: number
  /** Grows with every lease given; 0 when it never had one. */
  readonly lastLease: number
}

/** Candidates by model, made once per round: a fleet is asked for far more often than it changes. */
export function byModel(candidates: readonly Candidate[]): ReadonlyMap<string, readonly Candidate[]> {
  const serving = new Map<string, Candidate[]>()
  for (const candidate of candidates)
    for (const model of candidate.models) {
      const known = serving.get(model)
      if (known) known.push(candidate)
      else serving.set(model, [candidate])
    }
  return serving
}

export const hasRoom = (candidate: Candidate, load: Load, defaultWindow: number): boolean =>
  load.outstanding < (candidate.window ?? defaultWindow)

/** Device id, or undefined when none of them may take it now. */
export function chooseBoard(
  serving: readonly Candidate[],
  loadOf: (device: string) => Load,
  avoided: (device: string) => boolean,
  defaultWindow: number,
): string | undefined {
  let best: { device: string; busy: number; lastLease: number } | undefined
  for (const candidate of serving) {
    const { device } = candidate
    const load = loadOf(device)
    if (!hasRoom(candidate, load, defaultWindow) || avoided(device)) continue
    // The heartbeat may be older than our last leases, and it knows of work that is not ours: the larger is nearer.
    const busy = Math.max(load.outstanding, candidate.queue)
    if (!best || busy < best.busy || (busy === best.busy && load.lastLease < best.lastLease))
      best = { device, busy, lastLease: load.lastLease }
  }
  return best?.device
}
