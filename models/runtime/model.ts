// One opened model: its file checked and loaded, and the two halves of a run, decoding and inferring, ready to be called.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Manifest } from '../manifest.ts'
import { openSession, type Session, type SessionSettings, type TensorPort } from './session.ts'
import { createAudioTask } from './tasks/audio.ts'
import { createImageTask } from './tasks/image.ts'
import type { Answer, InputFrame, Prepare, Prepared } from './tasks/prepared.ts'
import { createSeriesTask } from './tasks/series.ts'
import { createTensorTask } from './tasks/tensor.ts'

/** The part of a ModelPackage that travels to the inference process. */
export interface LoadableModel {
  readonly manifest: Manifest
  readonly file: string
  readonly sha256: string
  readonly labels: readonly (string | null)[]
}

export interface ModelOptions extends SessionSettings {
  readonly maxPixels: number
}

export interface Model extends Pick<Session, 'provider' | 'passedOver'> {
  /** Size of the outputs of one run, free dimensions counted as one. */
  readonly outputBytes: number
  /** Throws RunFailure for a frame this model cannot take. */
  prepare(frame: InputFrame): Promise<Prepared>
  /** Throws RunFailure `model-failed`. */
  run(prepared: Prepared): Promise<Answer>
  close(): Promise<void>
}

interface WantedPort {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
}

function wantedInputs(manifest: Manifest): readonly WantedPort[] {
  if (manifest.task === 'tensor') return manifest.inputs
  const state = manifest.task === 'audio' ? manifest.state : []
  return [manifest.input, ...state.map((s) => ({ name: s.in, dtype: 'float32', shape: s.shape }))]
}

const fits = (port: TensorPort, wanted: WantedPort): boolean =>
  port.type === wanted.dtype &&
  port.shape.length === wanted.shape.length &&
  port.shape.every((n, i) => n === -1 || n === wanted.shape[i])

/** The manifest against the file: a fault found here would otherwise fail every frame. */
function portFault(manifest: Manifest, { inputs, outputs }: Session): string | undefined {
  const wanted = wantedInputs(manifest)
  for (const input of wanted) {
    const port = inputs.find((p) => p.name === input.name)
    if (!port) return `input "${input.name}" is not in the model (it has ${inputs.map((p) => p.name).join(', ')})`
    if (!fits(port, input))
      return `input "${input.name}" is ${port.type} [${port.shape}] in the model, ${input.dtype} [${input.shape}] in the manifest`
  }
  const extra = inputs.find((port) => !wanted.some((w) => w.name === port.name))
  if (extra) return `the model's input "${extra.name}" is not in the manifest`
  const states = manifest.task === 'audio' ? manifest.state.map((s) => s.out) : []
  const missing = [...manifest.output.names, ...states].find((name) => !outputs.some((p) => p.name === name))
  return missing === undefined ? undefined : `output "${missing}" is not in the model`
}

function prepareOf({ manifest, labels }: LoadableModel, { maxPixels }: ModelOptions): Prepare {
  switch (manifest.task) {
    case 'classification':
    case 'detection':
      return createImageTask(manifest, labels, maxPixels)
    case 'audio':
      return createAudioTask(manifest)
    case 'series':
      return createSeriesTask(manifest)
    case 'tensor':
      return createTensorTask(manifest)
  }
}

/** Rejects with one sentence where the file's bytes have changed, ONNX Runtime refuses it, or it is not as the manifest says. */
export async function openModel(model: LoadableModel, options: ModelOptions): Promise<Model> {
  const bytes = await readFile(model.file)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  if (sha256 !== model.sha256) throw new Error(`${model.file} has changed: sha256 ${sha256}, not ${model.sha256}`)
  const session = await openSession(bytes, options)
  const fault = portFault(model.manifest, session)
  if (fault !== undefined) {
    await session.close()
    throw new Error(fault)
  }
  return {
    provider: session.provider,
    ...(session.passedOver !== undefined && { passedOver: session.passedOver }),
    outputBytes: session.outputs.reduce((sum, { shape }) => sum + 4 * shape.reduce((n, d) => n * Math.abs(d), 1), 0),
    prepare: prepareOf(model, options),
    run: (prepared) => prepared.run(session),
    close: () => session.close(),
  }
}
