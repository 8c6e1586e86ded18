// Opens the inference host the way this board's cores are best used, and tells why it cannot start where it cannot.
import type { Logger } from 'pino'
import { createHost, HostError, type HostOptions, type InferenceHost } from '../models/runtime/host.ts'
import { type Choice, type Compared, chooseCores, readChoice, thisMachine } from './choice.ts'
import { type Config, hostSettings } from './config.ts'

/** `more`: what no setting says. `comparisons`: what `bramble-agent bench` found of the models here. */
export function openHost(
  config: Config,
  log: Logger,
  more: Partial<HostOptions> = {},
): { host: InferenceHost; cores: Choice; comparisons: readonly Compared[] } {
  const kept = readChoice(config.data, thisMachine())
  if (kept === 'stale')
    log.info('what `bramble-agent bench` found was for another CPU or ONNX Runtime: run it again; a default is used')
  const said = { processes: config.hosts, threads: config.threads }
  const found = kept === 'stale' ? undefined : kept
  const cores = chooseCores(said, found)
  const { processes, threads } = cores
  const host = createHost({ log, ...hostSettings(config), ...more, processes, intraOpThreads: threads })
  return { host, cores, comparisons: found?.comparisons ?? [] }
}

/** Undefined once a process has started. */
export async function hostFault(host: Pick<InferenceHost, 'runtime'>): Promise<HostError | undefined> {
  try {
    await host.runtime()
    return undefined
  } catch (error) {
    if (error instanceof HostError && error.code !== 'closed') return error
    throw error
  }
}
