// Opens the inference host the way this board's cores are best used, and tells why it cannot start where it cannot.
import type { Logger } from 'pino'
import { createHost, HostError, type HostOptions, type InferenceHost } from '../models/runtime/host.ts'
import { type Choice, chooseCores, readChoice, thisMachine } from './choice.ts'
import { type Config, hostSettings } from './config.ts'

/** `more`: what no setting says. */
export function openHost(
  config: Config,
  log: Logger,
  more: Partial<HostOptions> = {},
): { host: InferenceHost; cores: Choice } {
  const kept = readChoice(config.data, thisMachine())
  if (kept === 'stale')
    log.info('what `bramble-agent bench` found was for another CPU or ONNX Runtime: run it again; a default is used')
  const said = { processes: config.hosts, threads: config.threads }
  const cores = chooseCores(said, kept === 'stale' ? undefined : kept)
  const { processes, threads } = cores
  return { host: createHost({ log, ...hostSettings(config), ...more, processes, intraOpThreads: threads }), cores }
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
