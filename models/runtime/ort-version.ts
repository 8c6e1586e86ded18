// The version of ONNX Runtime, without loading it: that needs 60 MiB and may end the process on a CPU that it does not know.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

export function ortVersion(): string {
  const file = createRequire(import.meta.url).resolve('onnxruntime-node/package.json')
  return String(JSON.parse(readFileSync(file, 'utf8')).version)
}
