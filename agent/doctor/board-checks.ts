// The hardware: power supply, heat, memory, disk and card. What the board has no sensor for is left out.
import type { VitalFlag } from '../../broker/protocol/messages.ts'
import { DISK_FULL_MIB } from '../presence/flags.ts'
import { readNetwork } from '../presence/network.ts'
import { createPrograms } from '../presence/programs.ts'
import { type Card, type Disk, readStorage } from '../presence/storage.ts'
import type { Tree } from '../presence/sysfs.ts'
import type { Limits } from '../presence/thermal.ts'
import { readLimits } from '../presence/thermometer.ts'
import { readThrottling, type Throttling } from '../presence/throttling.ts'
import { type Board, readVitals, type Vitals } from '../presence/vitals.ts'
import { type Check, fail, mebibytes, ok, warn } from './check.ts'
import { checkLan } from './network-checks.ts'

const WORDS: Readonly<Partial<Record<VitalFlag, string>>> = {
  'under-voltage': 'under-voltage',
  'frequency-capped': 'clock held down',
  throttled: 'throttled',
  'soft-temperature-limit': 'soft temperature limit',
}
const words = (flags: readonly VitalFlag[]): string => flags.map((flag) => WORDS[flag] ?? flag).join(', ')

const SUPPLY = 'use the power supply made for this board and a short, thick cable; unplug what it feeds over USB'
const COOL = 'give it a heat sink, a fan or more air'

export function checkSupply({ now, sinceBoot }: Throttling): Check {
  const name = 'power'
  const remedy = [...now, ...sinceBoot].includes('under-voltage') ? SUPPLY : COOL
  if (now.length > 0) return fail(name, `the firmware says: ${words(now)}`, remedy)
  if (sinceBoot.length > 0) return warn(name, `good now, but since it booted: ${words(sinceBoot)}`, remedy)
  return ok(name, 'no under-voltage and no throttling since it booted')
}

export function checkHeat(tempC: number, { slowAtC, pauseAtC }: Limits): Check {
  const name = 'temperature'
  if (tempC >= pauseAtC) return fail(name, `${tempC} °C: the agent pauses from ${pauseAtC} °C on`, COOL)
  if (tempC >= slowAtC) return warn(name, `${tempC} °C: the agent slows from ${slowAtC} °C on`, COOL)
  return ok(name, `${tempC} °C; the agent slows from ${slowAtC} °C on`)
}

/** The agent takes about 60 MiB, its inference process 90 and the models. */
const SCARCE_MIB = 150

export function checkMemory({ freeMiB, totalMiB, swapUsedMiB = 0 }: Vitals, running: boolean): Check {
  const swapped = swapUsedMiB > 0 ? `, ${mebibytes(swapUsedMiB)} swapped` : ''
  const says = `${mebibytes(freeMiB)} free of ${mebibytes(totalMiB)}${swapped}`
  return freeMiB < SCARCE_MIB && !running
    ? warn('memory', says, 'stop other programs, or serve fewer models (--serve, --models-mib)')
    : ok('memory', says)
}

const SERVICE = 'sys/fs/cgroup/system.slice/bramble-agent.service'

/** Nothing where the agent is no service. Raspberry Pi OS starts its kernel without memory limits, and systemd does not complain. */
export async function checkMemoryLimit(tree: Tree): Promise<Check[]> {
  const name = 'memory limit'
  if ((await tree.names(SERVICE, /^cgroup\.procs$/)).length === 0) return []
  const limit = await tree.number(`${SERVICE}/memory.max`)
  if (limit !== undefined) return [ok(name, `the kernel holds the agent to ${mebibytes(Math.round(limit / 2 ** 20))}`)]
  const remedy = 'put cgroup_enable=memory into the line of /boot/firmware/cmdline.txt and start the board again'
  return [warn(name, 'the kernel holds the agent to none', remedy)]
}

const LITTLE_MIB = 512

export function checkDisk({ readOnly, freeMiB, totalMiB }: Disk): Check {
  const name = 'disk'
  const says = `${mebibytes(freeMiB)} free of ${mebibytes(totalMiB)}`
  if (readOnly) return fail(name, 'it is read-only, as cards are when they wear out', 'look at dmesg; replace the card')
  if (freeMiB < DISK_FULL_MIB) return fail(name, says, 'make room: results cannot be kept through a power cut')
  return freeMiB < LITTLE_MIB ? warn(name, says, 'make room, or use a larger card') : ok(name, says)
}

const WORN_PERCENT = 80

export function checkCard({ name: card, lifeUsedPercent }: Card): Check {
  const name = 'card'
  if (lifeUsedPercent === undefined) return ok(name, `${card}; it does not count its wear`)
  const says = `${card}, up to ${lifeUsedPercent} % of its life used`
  if (lifeUsedPercent >= 100) return fail(name, says, 'replace it before it turns read-only')
  return lifeUsedPercent >= WORN_PERCENT ? warn(name, says, 'order a new one') : ok(name, says)
}

export async function checkBoard(
  tree: Tree,
  folder: string,
  board: Board,
  running: boolean,
  elapsed: () => number,
): Promise<Check[]> {
  const [throttling, vitals, limits, { disk, card }, network, memoryLimit] = await Promise.all([
    readThrottling(tree, createPrograms(elapsed)),
    readVitals(tree),
    readLimits(tree, board),
    readStorage(tree, folder),
    readNetwork(tree),
    checkMemoryLimit(tree),
  ])
  return [
    ...(throttling ? [checkSupply(throttling)] : []),
    ...(vitals.tempC === undefined ? [] : [checkHeat(vitals.tempC, limits)]),
    checkMemory(vitals, running),
    ...memoryLimit,
    ...(disk ? [checkDisk(disk)] : []),
    ...(card ? [checkCard(card)] : []),
    ...(network ? checkLan(network) : []),
  ]
}
