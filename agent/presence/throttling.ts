// What a Raspberry Pi's firmware says of its power supply and clock: now, and since the board booted.
import type { VitalFlag } from '../../broker/protocol/messages.ts'
import { defined, type Tree } from './sysfs.ts'

export interface Throttling {
  readonly now: VitalFlag[]
  readonly sinceBoot: VitalFlag[]
}

/** Runs a program and answers what it printed; undefined when it is not there or fails. */
export type RunProgram = (file: string, args: readonly string[]) => Promise<string | undefined>

/** Bits of `get_throttled`; the same 16 higher are what has been since boot. */
const BITS: readonly VitalFlag[] = ['under-voltage', 'frequency-capped', 'throttled', 'soft-temperature-limit']
const STICKY = 16

export function flagsOf(bits: number): Throttling {
  const at = (shift: number): VitalFlag[] => BITS.filter((_, bit) => (bits >>> (bit + shift)) & 1)
  return { now: at(0), sinceBoot: at(STICKY) }
}

const PLATFORM = 'sys/devices/platform'

/** Raspberry Pi's own kernel: hexadecimal text. The folder carries an address on newer boards (`soc@107c000000`). */
async function fromSysfs(tree: Tree): Promise<Throttling | undefined> {
  for (const soc of await tree.names(PLATFORM, /^(soc|axi)(@[0-9a-f]+)?$/)) {
    for (const firmware of await tree.names(`${PLATFORM}/${soc}`, /:firmware$/)) {
      const bits = bitsOf(await tree.text(`${PLATFORM}/${soc}/${firmware}/get_throttled`))
      if (bits !== undefined) return flagsOf(bits)
    }
  }
  return undefined
}

const bitsOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^(0x)?[0-9a-f]{1,8}$/i.test(text) ? Number.parseInt(text, 16) : undefined

/** Needs the group video and /dev/vcio, so it may well be refused. */
async function fromProgram(run: RunProgram): Promise<Throttling | undefined> {
  const printed = await run('/usr/bin/vcgencmd', ['get_throttled'])
  const bits = bitsOf(/throttled=(0x[0-9a-f]+)/i.exec(printed ?? '')?.[1])
  return bits === undefined ? undefined : flagsOf(bits)
}

/** The mainline kernel tells under-voltage only, and clears what has been. */
async function fromHwmon(tree: Tree): Promise<Throttling | undefined> {
  const names = await tree.names('sys/class/hwmon', /^hwmon\d+$/)
  const alarms = names.map(async (name) =>
    (await tree.text(`sys/class/hwmon/${name}/name`)) === 'rpi_volt'
      ? tree.number(`sys/class/hwmon/${name}/in0_lcrit_alarm`)
      : undefined,
  )
  const [alarm] = defined(await Promise.all(alarms))
  if (alarm === undefined) return undefined
  const flags: VitalFlag[] = alarm === 0 ? [] : ['under-voltage']
  return { now: flags, sinceBoot: flags }
}

/** Undefined on a board that is no Raspberry Pi, or does not say. */
export const readThrottling = async (tree: Tree, run: RunProgram): Promise<Throttling | undefined> =>
  (await fromSysfs(tree)) ?? (await fromProgram(run)) ?? (await fromHwmon(tree))
