// What a model package says about itself: the schema of model.json, from which every model is served without code of its own.
import { z } from 'zod'
import { Prediction } from '../broker/protocol/messages.ts'

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits')
const Name = z.string().min(1).max(128)
const Fraction = z.number().min(0).max(1)
const Dimension = z.int().positive().max(65_536)
const Version = z.string().regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, 'must look like 1.2.3')
/** Ids are topic levels (design.md section 3). */
const Id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must match [A-Za-z0-9_-]{1,64}')
/** Forward slashes inside the package; the catalog also follows symlinks before it believes this. */
const InsidePath = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/, 'must be a path inside the package')

export const FileRef = z.strictObject({ path: InsidePath, sha256: Sha256, bytes: z.int().positive() })
export type FileRef = z.infer<typeof FileRef>

const Resize = z.discriminatedUnion('mode', [
  z.strictObject({ mode: z.literal('stretch') }),
  z.strictObject({ mode: z.literal('center-crop') }),
  z.strictObject({ mode: z.literal('letterbox'), pad: z.int().min(0).max(255) }),
])

/** How a picture becomes the one image tensor: value = (pixel - mean) / std per channel, in the order of `color`. */
export const ImageInput = z
  .strictObject({
    name: Name,
    dtype: z.enum(['float32', 'uint8']),
    layout: z.enum(['NHWC', 'NCHW']),
    shape: z.tuple([z.literal(1), Dimension, Dimension, Dimension]),
    color: z.enum(['rgb', 'bgr', 'gray']),
    resize: Resize,
    mean: z.array(z.number()).optional(),
    std: z.array(z.number().positive()).optional(),
  })
  .check(({ value: input, issues }) => {
    const fault = (field: string, message: string) =>
      issues.push({ code: 'custom', message, path: [field], input: input.shape })
    const channels = input.layout === 'NHWC' ? input.shape[3] : input.shape[1]
    const wanted = input.color === 'gray' ? 1 : 3
    if (channels !== wanted)
      fault('shape', `has ${channels} channels where layout ${input.layout} and color ${input.color} need ${wanted}`)
    for (const field of ['mean', 'std'] as const) {
      const values = input[field]
      if (input.dtype === 'uint8' && values) fault(field, 'contradicts dtype uint8, which takes pixels as they are')
      if (input.dtype === 'float32' && values?.length !== wanted) fault(field, `must have ${wanted} numbers`)
    }
  })
export type ImageInput = z.infer<typeof ImageInput>

const FloatInput = z.strictObject({ name: Name, dtype: z.literal('float32'), shape: z.array(Dimension).min(1) })

export const TENSOR_TYPES = [
  'float32',
  'float64',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'int64',
  'bool',
] as const
export type TensorType = (typeof TENSOR_TYPES)[number]

/** A dimension of -1 is free: the frame says how large it is. */
const AnyInput = z.strictObject({
  name: Name,
  dtype: z.enum(TENSOR_TYPES),
  shape: z.array(z.union([Dimension, z.literal(-1)])),
})
export type AnyInput = z.infer<typeof AnyInput>

/** One label per class, in class order; a null label is never reported. `background` is the class that means "nothing". */
const Labels = z.strictObject({ file: FileRef, background: z.int().nonnegative().optional() })

const Activation = z.enum(['none', 'softmax', 'sigmoid'])
const classes = z.int().positive()
const Nms = z.strictObject({ iou: Fraction, maxObjects: z.int().positive() })

const ClassificationOutput = z.strictObject({
  format: z.literal('scores'),
  names: z.tuple([Name]),
  activation: Activation,
  classes,
  topK: z.int().positive(),
})
export type ClassificationOutput = z.infer<typeof ClassificationOutput>

const detection = {
  classes,
  activation: z.enum(['none', 'sigmoid']),
  /** `pixels` are those of the model's input. */
  units: z.enum(['fraction', 'pixels']),
  scoreThreshold: Fraction,
  nms: Nms,
}
/** The format is always written: the shapes of the YOLO family do not tell its members apart. */
const DetectionOutput = z.discriminatedUnion('format', [
  /** names: boxes [1,N,4], scores [1,N,C]. */
  z.strictObject({
    format: z.literal('ssd'),
    names: z.tuple([Name, Name]),
    corners: z.enum(['xyxy', 'yxyx', 'cxcywh']),
    ...detection,
  }),
  /** v8, v11: [1,4+C,N], cxcywh, no objectness. */
  z.strictObject({ format: z.literal('yolov8'), names: z.tuple([Name]), ...detection }),
  /** v5, v7: [1,N,5+C], cxcywh, score = objectness x class. */
  z.strictObject({ format: z.literal('yolov5'), names: z.tuple([Name]), ...detection }),
])
export type DetectionOutput = z.infer<typeof DetectionOutput>

const AudioOutput = z.strictObject({
  format: z.literal('probability'),
  names: z.tuple([Name]),
  /** What a window above the threshold is called. */
  label: Name,
  threshold: Fraction,
})
export type AudioOutput = z.infer<typeof AudioOutput>

const AudioSignal = z.strictObject({
  rate: z.int().positive(),
  channels: z.literal(1),
  window: z.int().positive(),
  hop: z.int().positive(),
  maxSeconds: z.number().positive(),
})
export type AudioSignal = z.infer<typeof AudioSignal>

/** Zeros at the start of a clip; output `out` of one window is input `in` of the next. */
const State = z.strictObject({ in: Name, out: Name, shape: z.array(Dimension).min(1) })

/** Window function, |rfft| without the last bin, mean of `pool` neighbours, log, then (v - mean) / std. */
const Features = z.strictObject({
  taper: z.enum(['none', 'hann']),
  spectrum: z.literal('magnitude'),
  pool: z.int().positive(),
  log: z.enum(['none', 'log1p']),
  mean: z.array(z.number()).min(1),
  std: z.array(z.number().positive()).min(1),
})
export type Features = z.infer<typeof Features>

const SeriesSignal = z.strictObject({
  /** Hz at which the samples must have been taken. */
  rate: z.number().positive(),
  window: z.int().positive(),
  /** Without it the samples themselves are the input. */
  features: Features.optional(),
})
export type SeriesSignal = z.infer<typeof SeriesSignal>

/** `reconstruction`: the score is the mean squared error between input and output; `score`: the model's one number. */
const SeriesOutput = z.strictObject({
  format: z.enum(['reconstruction', 'score']),
  names: z.tuple([Name]),
  threshold: z.number(),
})
export type SeriesOutput = z.infer<typeof SeriesOutput>

const Quantization = z
  .strictObject({
    kind: z.enum(['none', 'static-u8s8', 'static-u8u8', 'dynamic', 'float16']),
    /** The same model before quantization, for comparison on the board. */
    fp32: FileRef.optional(),
  })
  .refine((q) => q.kind !== 'none' || q.fp32 === undefined, { path: ['fp32'], message: 'contradicts kind "none"' })

/** What may be expected of the raw outputs on another CPU (measured, see models/README.md). */
const Determinism = z.discriminatedUnion('class', [
  z.strictObject({ class: z.literal('exact') }),
  z.strictObject({ class: z.literal('exact-per-isa') }),
  z.strictObject({ class: z.literal('near'), tolerance: z.number().positive() }),
])

export const GoldenCase = z.strictObject({
  frame: FileRef,
  contentType: z.enum(['image/jpeg', 'image/png', 'image/webp', 'audio/wav', 'application/json']),
  /** Of the whole answer, and of each output tensor. */
  digest: Sha256,
  outputs: z.record(Name, Sha256),
  result: Prediction,
})
export type GoldenCase = z.infer<typeof GoldenCase>

const head = {
  id: Id,
  version: Version,
  title: z.string().min(1).max(80),
  description: z.string().max(500).optional(),
  file: FileRef,
  /** `package` is what the file was found under, `weights` what is known of the weights themselves. */
  licence: z.strictObject({
    package: z.string().min(1),
    weights: z.string().min(1),
    attribution: z.string().min(1).optional(),
  }),
  provenance: z.string().min(1),
  /** Trained on simulated data only: a pipeline test, no evidence about the real thing. */
  simulated: z.literal(true).optional(),
  quantization: Quantization,
  determinism: Determinism,
  golden: z.array(GoldenCase),
}

const size = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1)

const Classification = z.strictObject({
  ...head,
  task: z.literal('classification'),
  input: ImageInput,
  output: ClassificationOutput,
  labels: Labels,
})
const Detection = z.strictObject({
  ...head,
  task: z.literal('detection'),
  input: ImageInput,
  output: DetectionOutput,
  labels: Labels,
})
const Audio = z.strictObject({
  ...head,
  task: z.literal('audio'),
  input: FloatInput,
  signal: AudioSignal,
  state: z.array(State),
  output: AudioOutput,
})
const Series = z.strictObject({
  ...head,
  task: z.literal('series'),
  input: FloatInput,
  signal: SeriesSignal,
  output: SeriesOutput,
})
const TensorTask = z.strictObject({
  ...head,
  task: z.literal('tensor'),
  inputs: z.array(AnyInput).min(1),
  /** `application/octet-stream` is the little-endian bytes of the one input. */
  accepts: z.array(z.enum(['application/json', 'application/octet-stream'])).min(1),
  output: z.strictObject({ format: z.literal('raw'), names: z.array(Name).min(1) }),
})

type Fault = (path: (string | number)[], message: string) => void

function checkImageTask(m: z.infer<typeof Classification> | z.infer<typeof Detection>, fault: Fault): void {
  const { classes: count } = m.output
  if (m.labels.background !== undefined && m.labels.background >= count)
    fault(['labels', 'background'], `is not below output.classes (${count})`)
  if (m.task === 'classification' && m.output.topK > count)
    fault(['output', 'topK'], `is more than output.classes (${count})`)
}

function checkAudio({ input, signal, state, output }: z.infer<typeof Audio>, fault: Fault): void {
  if (size(input.shape) !== signal.window) fault(['signal', 'window'], `is not the ${size(input.shape)} of input.shape`)
  if (signal.hop > signal.window) fault(['signal', 'hop'], 'is longer than signal.window: samples would be skipped')
  const names = [input.name, ...state.map((s) => s.in), ...output.names, ...state.map((s) => s.out)]
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) fault(['state'], `uses the tensor name "${twice}" twice`)
}

function checkSeries({ input, signal }: z.infer<typeof Series>, fault: Fault): void {
  const { features, window } = signal
  const width = size(input.shape)
  if (!features) {
    if (window !== width) fault(['signal', 'window'], `is not the ${width} of input.shape`)
    return
  }
  if (!Number.isInteger(Math.log2(window))) fault(['signal', 'window'], 'must be a power of two for a spectrum')
  const bins = window / 2 / features.pool
  if (bins !== width)
    fault(['signal', 'features', 'pool'], `makes ${bins} bins of the window; input.shape has ${width}`)
  for (const field of ['mean', 'std'] as const)
    if (features[field].length !== width)
      fault(['signal', 'features', field], `has ${features[field].length} numbers; input.shape has ${width}`)
}

function checkTensor({ inputs, accepts }: z.infer<typeof TensorTask>, fault: Fault): void {
  if (!accepts.includes('application/octet-stream')) return
  if (inputs.length > 1) fault(['accepts'], 'names application/octet-stream, which carries one input; there are more')
  if (inputs[0]?.shape.includes(-1))
    fault(['accepts'], 'names application/octet-stream, which cannot tell the size of a free dimension')
}

export const Manifest = z
  .discriminatedUnion('task', [Classification, Detection, Audio, Series, TensorTask])
  .check(({ value, issues }) => {
    const fault: Fault = (path, message) => issues.push({ code: 'custom', path, message, input: value })
    if (value.task === 'classification' || value.task === 'detection') checkImageTask(value, fault)
    if (value.task === 'audio') checkAudio(value, fault)
    if (value.task === 'series') checkSeries(value, fault)
    if (value.task === 'tensor') checkTensor(value, fault)
    for (const [i, golden] of value.golden.entries()) {
      for (const name of value.output.names)
        if (golden.outputs[name] === undefined) fault(['golden', i, 'outputs'], `lacks the digest of "${name}"`)
      if (golden.result.kind !== value.task)
        fault(['golden', i, 'result', 'kind'], `is "${golden.result.kind}" where the task is "${value.task}"`)
    }
  })
export type Manifest = z.infer<typeof Manifest>
export type ManifestOf<T extends Manifest['task']> = Extract<Manifest, { task: T }>

export type ReadManifest = { ok: true; manifest: Manifest } | { ok: false; problems: readonly string[] }

/** A parsed model.json, or one sentence per fault, each beginning with the field it is about. */
export function readManifest(json: unknown): ReadManifest {
  const parsed = Manifest.safeParse(json)
  if (parsed.success) return { ok: true, manifest: parsed.data }
  const problems = parsed.error.issues.flatMap((issue) => {
    const at = issue.path.join('.')
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => `${at === '' ? key : `${at}.${key}`}: is not a field here`)
    return [`${at || 'model.json'}: ${issue.message}`]
  })
  return { ok: false, problems }
}
