// Network interfaces with hardware behind them: up or not, how fast, how strong the radio is.
import type { VitalsMessage } from '../../broker/protocol/messages.ts'
import type { Tree } from './sysfs.ts'

type Interface = NonNullable<VitalsMessage['network']>[number]

const FOLDER = 'sys/class/net'
/** A docker host may have hundreds of the others. */
const MOST = 8

/** `wlan0: 0000   54.  -56.  -256 …`: link quality, then the signal in dBm; drivers that do not know it give 0 or more. */
function signalsOf(wireless: string | undefined): ReadonlyMap<string, number> {
  const lines = (wireless ?? '').matchAll(/^\s*(\S+):\s+\S+\s+[\d.]+\s+(-\d+)\.?\s/gm)
  return new Map([...lines].map(([, name = '', dBm]) => [name, Number(dBm)]))
}

async function readInterface(tree: Tree, name: string, signalDbm: number | undefined): Promise<Interface | undefined> {
  const at = `${FOLDER}/${name}`
  const [hardware, state, mbit] = await Promise.all([
    tree.text(`${at}/device/uevent`),
    tree.text(`${at}/operstate`),
    // An interface that is down, or a radio, gives an error or -1.
    tree.number(`${at}/speed`),
  ])
  if (hardware === undefined || state === undefined) return undefined
  return {
    name,
    up: state === 'up',
    ...(mbit !== undefined && mbit > 0 && { mbit }),
    ...(signalDbm !== undefined && { signalDbm }),
  }
}

/** Undefined where the kernel shows none: a container without /sys. */
export async function readNetwork(tree: Tree): Promise<Interface[] | undefined> {
  const names = (await tree.names(FOLDER, /^(?!lo$)/)).slice(0, 256)
  const signals = signalsOf(await tree.text('proc/net/wireless'))
  const all = await Promise.all(names.map((name) => readInterface(tree, name, signals.get(name))))
  const real = all.filter((one) => one !== undefined).slice(0, MOST)
  return real.length === 0 ? undefined : real
}
