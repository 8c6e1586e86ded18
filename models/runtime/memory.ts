// How much memory inference may take unless its owner says: shares of what the board has, because the same agent runs on 512 MB
// and on 64 GB.
import { totalmem } from 'node:os'

const MIB = 2 ** 20
/** The system, the agent and the bare inference process take about this much before a model is loaded. */
const TAKEN_MIB = 200
const SHARE = 0.5
/** Beyond this share of the board the system begins to swap or to kill. */
const MOST_SHARE = 0.7

/** For the loaded models: half of what is left of the board, 64 MiB at least. */
export const defaultBudgetMiB = (totalMiB = totalmem() / MIB): number => Math.max(64, (totalMiB - TAKEN_MIB) * SHARE)

/** For one process, whatever is loaded: a healthy one takes its 90 MiB and the models; one at twice that has a leak. */
export const defaultCeilingMiB = (processes: number, totalMiB = totalmem() / MIB): number =>
  Math.min(2_048, Math.max(256, (totalMiB * SHARE) / processes))

/** What the ceiling of one process may be raised to when its models need more. */
export const mostMiB = (processes: number, totalMiB = totalmem() / MIB): number => (totalMiB * MOST_SHARE) / processes
