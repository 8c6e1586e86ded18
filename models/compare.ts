// Is a quantized model worth it here? It and its unquantized sibling run the same frames in turn on this machine: int8 is
// neither faster nor right by nature (a bad recipe gave an answer that was wrong 97 times in 100, at twice the time).
import type { Comparison, Prediction } from '../broker/protocol/messages.ts'
import { fp32Of, type ModelPackage } from './catalog.ts'
import { goldenFrames } from './proof.ts'
import type { InferenceHost, RunOutcome } from './runtime/host.ts'

const ROUNDS = 10

/** Undefined where there is no sibling, or one of the two never ran. Both are loaded for it, the sibling is unloaded again. Throws HostError when it cannot load. */
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
      if (own.ok) times.quantized.push(own.ms.infer)
      if (other.ok) times.fp32.push(other.ms.infer)
      if (round === 0 && sameAnswer(own, other)) agree += 1
    }
  await host.unload(`${sibling.manifest.id}@${sibling.manifest.version}`)
  const [quantizedMs, fp32Ms] = [median(times.quantized), median(times.fp32)]
  if (quantizedMs === undefined || fp32Ms === undefined) return undefined
  return { quantizedMs, fp32Ms, agree, frames: frames.length }
}

const median = (values: readonly number[]): number | undefined => values.toSorted((a, b) => a - b)[values.length >> 1]

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
