// `bramble-agent infer FILE --model M`: one frame, one answer, no network. What a person runs first.
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Logger } from 'pino'
import { parseFrame } from '../broker/protocol/envelope.ts'
import type { Prediction } from '../broker/protocol/messages.ts'
import { nameOf, readCatalog } from '../models/catalog.ts'
import { createHost } from '../models/runtime/host.ts'
import { defaultCores } from './choice.ts'
import { type Config, hostSettings } from './config.ts'

export class InferError extends Error {
  override readonly name = 'InferError'
  readonly code: 'no-file' | 'unknown-model' | 'bad-frame' | 'run-failed'
  constructor(code: InferError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface Inference {
  readonly file: string
  readonly model: string
  readonly digest: string
  readonly ms: { readonly load: number; readonly decode: number; readonly infer: number }
  readonly result: Prediction
}

/** Runs one file through one model. Throws InferError with a sentence for the person. */
export async function inferFile(
  config: Config,
  file: string,
  model: string,
  log: Logger,
  now: () => number,
): Promise<Inference> {
  const catalog = await readCatalog(config.models)
  const pkg = catalog.resolve(model)
  if (!pkg) {
    const known = catalog.list().map((candidate) => `  ${nameOf(candidate)}  ${candidate.manifest.title}`)
    throw new InferError('unknown-model', `there is no model ${model}; there are\n${known.join('\n')}`)
  }
  const payload = await readFile(file).catch((error: unknown) => {
    throw new InferError('no-file', `${file} cannot be read`, error)
  })
  const parsed = parseFrame(payload)
  const frame = parsed.ok ? parsed.frame : { contentType: 'application/octet-stream', data: payload }
  const host = createHost({ log, ...hostSettings(config), intraOpThreads: config.threads ?? defaultCores().threads })
  try {
    const startedAt = now()
    await host.load(pkg)
    const load = Math.round(now() - startedAt)
    const outcome = await host.run(pkg, frame)
    if (!outcome.ok) throw new InferError('run-failed', `${outcome.error.code}: ${outcome.error.message}`)
    const { digest, ms, prediction: result } = outcome
    return {
      file: basename(file),
      model: nameOf(pkg),
      digest,
      ms: { load, decode: hundredths(ms.decode), infer: hundredths(ms.infer) },
      result,
    }
  } finally {
    await host.close()
  }
}

const hundredths = (ms: number): number => Math.round(ms * 100) / 100

const percent = (score: number): string => `${(score * 100).toFixed(1).padStart(5)} %`

function linesOf(result: Prediction): string[] {
  switch (result.kind) {
    case 'classification':
      return result.labels.map(({ label, score }) => `${percent(score)}  ${label}`)
    case 'detection':
      if (result.objects.length === 0) return ['nothing found']
      return result.objects.map(
        ({ label, score, box }) => `${percent(score)}  ${label}  at ${box.map((side) => side.toFixed(3)).join(' ')}`,
      )
    case 'audio':
      if (result.segments.length === 0) return ['nothing found']
      return result.segments.map(
        ({ label, score, startS, endS }) =>
          `${percent(score)}  ${label}  from ${startS.toFixed(2)} s to ${endS.toFixed(2)} s`,
      )
    case 'series':
      return [`${result.anomaly ? 'ANOMALY' : 'normal'}  score ${result.score} (threshold ${result.threshold})`]
    case 'tensor':
      return result.outputs.map(
        ({ name, type, shape, data }) =>
          `${name}  ${type}[${shape.join('×')}]  ${data.slice(0, 8).join(' ')}${data.length > 8 ? ' …' : ''}`,
      )
  }
}

/** For people: the answer, then where the time went. */
export function describe({ file, model, digest, ms, result }: Inference): string {
  return [
    `${file} → ${model}`,
    ...linesOf(result).map((line) => `  ${line}`),
    `  decode ${ms.decode.toFixed(1)} ms · infer ${ms.infer.toFixed(1)} ms · model loaded in ${ms.load} ms · digest ${digest.slice(0, 12)}`,
  ].join('\n')
}
