// Does this board show an NVIDIA GPU? Asked only so that running on the CPU beside one is not passed over without a word.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Device nodes of NVIDIA's drivers: a card's, and a Jetson's. */
const NODE = /^(nvidia\d|nvhost)/

/** What shows it: `NVIDIA Jetson Orin Nano Developer Kit`, `/dev/nvidia0`. `root` is the file system's. */
export function gpuOf(root = '/'): string | undefined {
  const model = tried(() => readFileSync(join(root, 'proc/device-tree/model'), 'utf8'))?.replaceAll('\0', '')
  if (model !== undefined && /jetson/i.test(model)) return model.trim()
  const node = tried(() => readdirSync(join(root, 'dev')))?.find((name) => NODE.test(name))
  return node === undefined ? undefined : `/dev/${node}`
}

function tried<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
