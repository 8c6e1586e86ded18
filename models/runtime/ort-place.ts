// Where ONNX Runtime is taken from: a build of the board's own, as a Jetson's GPU needs it, lies outside all that updates replace. It
// is used while it is of the version that this agent came with; the two would not fit each other otherwise.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** With node_modules/onnxruntime-node and onnxruntime-common in it (firmware-scripts/jetson). */
const OWN = '/opt/bramble-onnxruntime'
const MANIFEST = 'onnxruntime-node/package.json'

export interface OrtPlace {
  readonly require: NodeJS.Require
  /** Folder of the package onnxruntime-node. */
  readonly folder: string
  readonly version: string
  /** Why the board's own build is not used. */
  readonly passedOver?: string
}

function placeIn(file: string): OrtPlace {
  const require = createRequire(file)
  const manifest = require.resolve(MANIFEST)
  return { require, folder: dirname(manifest), version: String(JSON.parse(readFileSync(manifest, 'utf8')).version) }
}

/** Does not load it: that needs 60 MiB and may end the process on a CPU that it does not know. */
export function findOrt(own = OWN): OrtPlace {
  const ours = placeIn(import.meta.url)
  if (!existsSync(join(own, 'node_modules', MANIFEST))) return ours
  const boards = tryPlaceIn(join(own, 'any.js'))
  if (boards?.version === ours.version) return boards
  const what = boards === undefined ? 'is damaged' : `is of ${boards.version}`
  return { ...ours, passedOver: `the ONNX Runtime in ${own} ${what}, and this agent needs ${ours.version}: build that` }
}

function tryPlaceIn(file: string): OrtPlace | undefined {
  try {
    return placeIn(file)
  } catch {
    return undefined
  }
}
