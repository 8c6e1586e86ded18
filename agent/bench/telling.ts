// What `bramble-agent bench` found, for people: a table, what was chosen, and what of the models is not as one would think.
import type { Comparison } from '../../broker/protocol/messages.ts'
import type { BenchReport } from '../bench.ts'
import type { Cores } from '../choice.ts'
import { type Measured, named } from './measuring.ts'

export function describeBench({ machine, measured, chosen, left, comparisons }: BenchReport): string {
  const siblings = comparisons.map(({ model, digest: _, ...comparison }) => `  ${model}: ${sentenceOf(comparison)}`)
  return [
    `${machine.cpu} × ${machine.cpus}, ONNX Runtime ${machine.ort}`,
    '',
    line(' ', 'model', 'processes and threads', 'frames/s', 'lone ms', 'MiB all'),
    ...measured.toSorted(byModel).map((row) => rowOf(row, chosen)),
    ...(siblings.length > 0 ? ['', ...siblings] : []),
    ...(left.length > 0 ? ['', ...left] : []),
    '',
    `→ chosen and kept: ${named(chosen)}. \`bramble-agent run\` uses it unless --hosts or --threads say otherwise.`,
  ].join('\n')
}

const byModel = (a: Measured, b: Measured): number => a.model.localeCompare(b.model)

function rowOf(row: Measured, chosen: Cores): string {
  const isChosen = row.processes === chosen.processes && row.threads === chosen.threads
  const { model, framesPerS, p50Ms, rssMiB } = row
  return line(isChosen ? '→' : ' ', model, named(row), framesPerS.toFixed(1), p50Ms.toFixed(1), rssMiB.toFixed(0))
}

const line = (mark: string, model: string, way: string, ...numbers: readonly string[]): string =>
  `${mark} ${model.padEnd(24)} ${way.padEnd(28)} ${numbers.map((text) => text.padStart(8)).join(' ')}`

function sentenceOf({ quantizedMs, fp32Ms, agree, frames }: Comparison): string {
  const speed = `${(fp32Ms / quantizedMs).toFixed(2)} times as fast as fp32 (${quantizedMs.toFixed(2)} against ${fp32Ms.toFixed(2)} ms)`
  return `${speed}, the same answer on ${agree} of ${frames} frames${verdictOf({ quantizedMs, fp32Ms, agree, frames })}`
}

function verdictOf({ quantizedMs, fp32Ms, agree, frames }: Comparison): string {
  const different = agree < frames ? '  ← DIFFERENT ANSWERS: look at the quantization' : ''
  return quantizedMs > fp32Ms ? `${different}  ← SLOWER: the fp32 model would serve better here` : different
}
