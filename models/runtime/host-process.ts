// The child side of the inference process: decoders and ONNX Runtime live here and nowhere else, so that they can be killed.
import { flushCompileCache } from 'node:module'
import type { Runtime } from '../../broker/protocol/messages.ts'
import { DECODER } from './decode/frame.ts'
import { createLane, type LeftBytes } from './lane.ts'
import { CACHE_FILLED, type HostMessage, type HostSettings, type Order } from './messages.ts'
import { openModel } from './model.ts'
import { CPU_CLASS, ORT_VERSION, SESSION_FLAGS } from './session.ts'

const YOUNG_BYTES = 2 ** 19
const OLD_BYTES = 4 * 2 ** 20

const settings = JSON.parse(process.argv[2] ?? '{}') as HostSettings

/**
 * Node's type stripper is a WebAssembly module of 17 MiB that stays in memory. Its work is in the compile cache after one
 * start, so a process that needed it makes way for one that does not. The list is undocumented; without it nothing restarts.
 */
function hasTypeStripper(): boolean {
  const { moduleLoadList = [] } = process as { moduleLoadList?: readonly string[] }
  return moduleLoadList.includes('NativeModule internal/deps/amaro/dist/index')
}

const send = (message: HostMessage): void => void process.send?.(message)

const runtimeOn = (provider: string): Runtime => ({
  ort: ORT_VERSION,
  provider,
  cpu: CPU_CLASS,
  decoder: DECODER,
  flags: [...SESSION_FLAGS],
})

/**
 * Tensors and received frames lie outside the JavaScript heap, so V8 sees no reason to collect them: 50 runs of
 * ssd-mobilenet-v1 held 40 MiB. A minor collection (0.2 ms) takes what is young; frames have waited long enough to be old and
 * need a major one (4 ms), made rarely.
 */
function createCollector(): (bytes: LeftBytes) => void {
  let [young, old] = [0, 0]
  return ({ frame, outputs }) => {
    young += frame + outputs
    old += frame
    if (young < YOUNG_BYTES) return
    const type = old < OLD_BYTES ? 'minor' : 'major'
    young = 0
    if (type === 'major') old = 0
    globalThis.gc?.({ type, execution: 'sync' })
  }
}

function serve(): void {
  const lane = createLane({
    async open(model) {
      const opened = await openModel(model, settings)
      // By itself Node keeps compiled code when it exits, which a board that is only ever cut from its power never does.
      flushCompileCache()
      // The file's bytes are in the session now.
      globalThis.gc?.({ type: 'major', execution: 'sync' })
      return opened
    },
    now: () => performance.now(),
    rssMiB: () => process.memoryUsage.rss() / 2 ** 20,
    cpuMs: () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1000
    },
    runtimeOn,
    reply: send,
    afterRun: createCollector(),
  })
  process.on('message', (order: Order) => lane.accept(order))
  send({ type: 'ready', runtime: runtimeOn('cpu') })
}

// Ctrl-C and systemd signal the whole group; the parent still drains, and ends this process by closing the channel.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(0))

if (settings.mayRestart && hasTypeStripper()) {
  flushCompileCache()
  process.exit(CACHE_FILLED)
}
serve()
