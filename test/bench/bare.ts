// The bare loop in a process of its own, so that its memory is its own: `bare.ts MODEL SECONDS FRAME…` prints one JSON object.
import { readFile } from 'node:fs/promises'
import { readCatalog } from '../../models/catalog.ts'
import { ROOT } from '../harness/bramble.ts'
import { runBareLoop } from './bare-loop.ts'

const [model = '', seconds = '4', ...files] = process.argv.slice(2)
const pkg = (await readCatalog(`${ROOT}models`)).resolve(model)
if (!pkg) throw new Error(`no model ${model}`)
const frames = await Promise.all(files.map((file) => readFile(file)))
// A first short run tells how many frames fill the time asked for.
const trial = await runBareLoop({ pkg, frames, count: 20 })
const { framesPerS, p50Ms, p99Ms, cpuMsPerFrame, rssMiB } = await runBareLoop({
  pkg,
  frames,
  count: Math.max(20, Math.round(trial.framesPerS * Number(seconds))),
})
process.stdout.write(JSON.stringify({ framesPerS, p50Ms, p99Ms, processes: { bare: { cpuMsPerFrame, rssMiB } } }))
