// Electrical power as the board's own sensors measure it: INA3221 and INA238 on Jetsons, by the labels of their rails.
import { defined, rounded, type Tree } from './sysfs.ts'

export interface Rail {
  readonly rail: string
  readonly w: number
}

const HWMON = 'sys/class/hwmon'
/** Not connected; the sum of shunt voltages that the driver calls a channel; what USB-C negotiated. */
const NO_RAIL = /^NC$|sum of shunt|ucsi/i
/** The rail through which everything flows: Orin Nano and NX, the older Nano and TX, Thor. Elsewhere the rails add up. */
const TOTALS = ['VDD_IN', 'POM_5V_IN', 'VIN']
/** No board this agent runs on draws more through one rail. */
const MOST_W = 500

const railOf = (rail: string | undefined, w: number | undefined): Rail | undefined =>
  rail !== undefined && !NO_RAIL.test(rail) && w !== undefined && w >= 0 && w < MOST_W
    ? { rail, w: rounded(w, 3) }
    : undefined

/** mV × mA is µW. Channels 1 to 3 are rails, 4 to 6 their shunts, 7 the sum. */
async function readChannel(tree: Tree, folder: string, channel: number): Promise<Rail | undefined> {
  const [label, mV, mA] = await Promise.all([
    tree.text(`${folder}/in${channel}_label`),
    tree.number(`${folder}/in${channel}_input`),
    tree.number(`${folder}/curr${channel}_input`),
  ])
  return railOf(label, mV === undefined || mA === undefined ? undefined : (mV * mA) / 1e6)
}

async function readMonitor(tree: Tree, folder: string): Promise<(Rail | undefined)[]> {
  switch (await tree.text(`${folder}/name`)) {
    case 'ina3221':
      return Promise.all([1, 2, 3].map((channel) => readChannel(tree, folder, channel)))
    case 'ina238': {
      const [label, microwatts] = await Promise.all([
        tree.text(`${folder}/in1_label`),
        tree.number(`${folder}/power1_input`),
      ])
      return [railOf(label ?? 'VIN', microwatts === undefined ? undefined : microwatts / 1e6)]
    }
    default:
      return []
  }
}

const OLD_DRIVER = 'sys/bus/i2c/drivers/ina3221x'

/** JetPack 4: an iio device with milliwatts. */
async function readOld(tree: Tree): Promise<(Rail | undefined)[]> {
  const rails: (Rail | undefined)[] = []
  for (const chip of await tree.names(OLD_DRIVER, /^\d+-\d+$/)) {
    for (const device of await tree.names(`${OLD_DRIVER}/${chip}`, /^iio:device\d+$/)) {
      const folder = `${OLD_DRIVER}/${chip}/${device}`
      for (const channel of [0, 1, 2]) {
        const milliwatts = await tree.number(`${folder}/in_power${channel}_input`)
        const name = await tree.text(`${folder}/rail_name_${channel}`)
        rails.push(railOf(name, milliwatts === undefined ? undefined : milliwatts / 1000))
      }
    }
  }
  return rails
}

export async function readRails(tree: Tree): Promise<Rail[]> {
  const names = await tree.names(HWMON, /^hwmon\d+$/)
  const rails = defined((await Promise.all(names.map((name) => readMonitor(tree, `${HWMON}/${name}`)))).flat())
  return rails.length > 0 ? rails : defined(await readOld(tree))
}

/** Undefined without rails. */
export function totalOf(rails: readonly Rail[]): number | undefined {
  if (rails.length === 0) return undefined
  const total = rails.find(({ rail }) => TOTALS.includes(rail))
  return total?.w ?? rails.reduce((sum, { w }) => sum + w, 0)
}
