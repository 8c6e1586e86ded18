// Is a quantized model worth it here? It and its unquantized sibling run the same frames in turn on this machine: int8 is
// neither faster nor right by nature (a bad recipe gave an answer that was wrong 97 times in 100, at twice the time).
import type { Prediction } from '../broker/protocol/messages.ts'
import { fp32Of, type ModelPackage } from './catalog.ts'
import { goldenFrames } from './proof.ts'
import type { InferenceHost, RunOutcome } from './runtime/host.ts'

export interface Comparison {
  /** Median milliseconds in the model. */
  readonly quantizedMs: number
  readonly fp32Ms: number
  /** Frames on which both give the same answer: top label, objects, or verdict. */
  readonly agree: number
  readonly frames: number
}

const ROUNDS = 10

/** Undefined where there is no sibling. Both are loaded for it, the sibling is unloaded again. Throws HostError when it cannot load. */
export async function compareWithFp32(
  host: Pick<InferenceHost, 'load' | 'unload' | 'run'>,
  pkg: ModelPackage,
): Promise<Comparison | undefined> {
  const sibling = fp32Of(pkg)
  if (!sibling || pkg.manifest.golden.length === 0) return undefined
  const frames = await goldenFrames(pkg)
  await host.load(pkg)
  await host.load(sibling)
  const times = { quantized: [] as number[], fp32: [] as number[] }
  let agree = 0
  for (let round = 0; round < ROUNDS; round += 1)
    for (const frame of frames) {
      const [own, other] = [await host.run(pkg, frame), await host.run(sibling, frame)]
      times.quantized.push(inferMs(own))
      times.fp32.push(inferMs(other))
      if (round === 0 && sameAnswer(own, other)) agree += 1
    }
  await host.unload(`${sibling.manifest.id}@${sibling.manifest.version}`)
  return { quantizedMs: median(times.quantized), fp32Ms: median(times.fp32), agree, frames: frames.length }
}

const inferMs = (outcome: RunOutcome): number => outcome.ms?.infer ?? Number.NaN

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const sameAnswer = (a: RunOutcome, b: RunOutcome): boolean =>
  a.ok && b.ok && gistOf(a.prediction) === gistOf(b.prediction)

/** What a person would call the answer, without its scores. */
function gistOf(prediction: Prediction): string {
  switch (prediction.kind) {
    case 'classification':
      return prediction.labels[0]?.label ?? 'nothing'
    case 'detection':
      return prediction.objects
        .map(({ label }) => label)
        .sort()
        .join()
    case 'audio':
      return prediction.segments.map(({ label, startS }) => `${label}@${startS.toFixed(1)}`).join()
    case 'series':
      return String(prediction.anomaly)
    case 'tensor':
      return prediction.outputs.map(({ data }) => data.indexOf(Math.max(...data))).join()
  }
}
