import { tmpdir } from 'node:os'
import { afterAll, describe, expect, test } from 'vitest'
import { readNetwork } from '../../agent/presence/network.ts'
import { readRails, totalOf } from '../../agent/presence/rails.ts'
import { mountOf, readCard, readStorage } from '../../agent/presence/storage.ts'
import { openTree } from '../../agent/presence/sysfs.ts'
import { flagsOf, readThrottling } from '../../agent/presence/throttling.ts'
import { readBoard, readVitals } from '../../agent/presence/vitals.ts'
import { readTrips, readZones } from '../../agent/presence/zones.ts'
import { BOARDS, boardTree, makeTree, removeTrees } from './boards.ts'

afterAll(removeTrees)

const noProgram = () => Promise.resolve(undefined)
const zone = (index: number, type: string, temp: string) => ({
  [`sys/class/thermal/thermal_zone${index}/type`]: `${type}\n`,
  [`sys/class/thermal/thermal_zone${index}/temp`]: `${temp}\n`,
})

describe('temperatures', () => {
  test.each([
    ['pi-3b', 61.2],
    ['pi-4b', 48.3],
    ['pi-5', 57.9],
    ['zero-2w', 52.1],
    ['orin-nano', 50.1],
    ['agx-orin', 45.5],
    ['pc-rapl', 61],
  ] as const)('of the processor of %s', async (name, tempC) => {
    expect((await readVitals(boardTree(name))).tempC).toBe(tempC)
  })

  test('leave out the zones of a Jetson that are off', async () => {
    const zones = await readZones(boardTree('orin-nano'))
    expect(zones.map((one) => one.zone)).toEqual([
      'cpu-thermal',
      'gpu-thermal',
      'soc0-thermal',
      'soc1-thermal',
      'soc2-thermal',
      'tj-thermal',
    ])
    for (const { c } of zones) expect(c).toBeGreaterThan(40)
  })

  test('fall back on the zone of the whole chip, and skip one that is off', async () => {
    const tree = await makeTree({
      ...zone(0, 'PMIC-Die', '100000'),
      ...zone(5, 'tj-thermal', '55125'),
      ...zone(8, 'cpu-thermal', '-256000'),
    })
    expect((await readVitals(tree)).tempC).toBe(55.1)
  })

  test.each([[{}], [zone(0, 'cpu-thermal', '')], [zone(0, 'cpu-thermal', '0')], [zone(0, 'acpitz', '27800')]])(
    'are absent where no sensor tells the processor’s: %j',
    async (files) => expect(await readVitals(await makeTree(files))).not.toHaveProperty('tempC'),
  )

  test('come with the trip points that are on', async () => {
    expect(await readTrips(boardTree('orin-nano'), { folder: 'sys/class/thermal/thermal_zone0' })).toEqual([
      { type: 'passive', c: 99 },
      { type: 'active', c: 45 },
      { type: 'critical', c: 104.5 },
    ])
    expect(await readTrips(boardTree('pc-rapl'), { folder: 'sys/class/thermal/thermal_zone1' })).toEqual([])
  })
})

describe('the power supply', () => {
  test('is read bit by bit, now and since boot', () => {
    expect(flagsOf(0x50005)).toEqual({
      now: ['under-voltage', 'throttled'],
      sinceBoot: ['under-voltage', 'throttled'],
    })
    expect(flagsOf(0xe0000)).toEqual({
      now: [],
      sinceBoot: ['frequency-capped', 'throttled', 'soft-temperature-limit'],
    })
  })

  test.each([
    ['pi-3b', { now: ['under-voltage', 'throttled'], sinceBoot: ['under-voltage', 'throttled'] }],
    ['pi-4b', { now: [], sinceBoot: [] }],
    ['pi-5', { now: [], sinceBoot: ['soft-temperature-limit'] }],
    ['zero-2w', { now: ['under-voltage'], sinceBoot: ['under-voltage'] }],
    ['orin-nano', undefined],
  ] as const)('of %s', async (name, expected) => {
    expect(await readThrottling(boardTree(name), noProgram)).toEqual(expected)
  })

  test('is asked of vcgencmd before the mainline driver, and a refusal falls through', async () => {
    const asked: unknown[] = []
    const run = (answer: string | undefined) => (file: string, args: readonly string[]) => {
      asked.push([file, ...args])
      return Promise.resolve(answer)
    }
    expect(await readThrottling(boardTree('zero-2w'), run('throttled=0x80008\n'))).toEqual({
      now: ['soft-temperature-limit'],
      sinceBoot: ['soft-temperature-limit'],
    })
    const refused = await readThrottling(boardTree('zero-2w'), run('VCHI initialization failed'))
    expect(refused?.now).toEqual(['under-voltage'])
    expect(asked).toEqual(Array(2).fill(['/usr/bin/vcgencmd', 'get_throttled']))
  })
})

describe('power rails', () => {
  test('have the input as total on an Orin Nano', async () => {
    const rails = await readRails(boardTree('orin-nano'))
    expect(rails.map(({ rail }) => rail)).toEqual(['VDD_IN', 'VDD_CPU_GPU_CV', 'VDD_SOC'])
    expect(totalOf(rails)).toBeCloseTo(4.821, 3)
  })

  test('add up on an AGX Orin, without channels that are not connected', async () => {
    const rails = await readRails(boardTree('agx-orin'))
    expect(rails.map(({ rail }) => rail)).toEqual(['VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0', 'VDDQ_VDD2_1V8AO'])
    expect(totalOf(rails)).toBeCloseTo(3.184 + 0.797 + 3.907 + 1.037, 2)
  })

  test('are read from the old driver of JetPack 4, and absent on a Pi', async () => {
    const folder = 'sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0'
    const tree = await makeTree({
      [`${folder}/rail_name_0`]: 'POM_5V_IN\n',
      [`${folder}/in_power0_input`]: '2532\n',
      [`${folder}/rail_name_1`]: 'POM_5V_GPU\n',
      [`${folder}/in_power1_input`]: '82\n',
    })
    const rails = await readRails(tree)
    expect(rails).toHaveLength(2)
    expect(totalOf(rails)).toBe(2.532)
    expect(totalOf(await readRails(boardTree('pi-4b')))).toBeUndefined()
  })
})

describe('the disk and the card', () => {
  const mounts = [
    '/dev/mmcblk0p2 / ext4 ro,noatime 0 0',
    'tmpfs /run tmpfs rw 0 0',
    '/dev/sda1 /mnt/my\\040disk ext4 rw 0 0',
  ].join('\n')

  test('are those that the folder lies on', () => {
    expect(mountOf(mounts, '/var/lib/bramble')).toMatchObject({ device: '/dev/mmcblk0p2', readOnly: true })
    expect(mountOf(mounts, '/mnt/my disk/data')).toMatchObject({ device: '/dev/sda1', readOnly: false })
    expect(mountOf(mounts, '/running')).toMatchObject({ device: '/dev/mmcblk0p2' })
    expect(mountOf('', '/')).toBeUndefined()
  })

  test('name the card, and its wear where it counts it', async () => {
    expect(await readCard(boardTree('pi-3b'), '/dev/mmcblk0p2')).toEqual({ name: 'SD SC16G' })
    expect(await readCard(boardTree('pi-4b'), '/dev/root')).toEqual({ name: 'SD SN64G' })
    expect(await readCard(boardTree('agx-orin'), '/dev/mmcblk0p1')).toEqual({ name: 'MMC G1M15M', lifeUsedPercent: 20 })
    expect(await readCard(boardTree('agx-orin'), '/dev/nvme0n1p1')).toBeUndefined()
  })

  test.each([
    ['0x0b 0x01', '0x01', 100],
    ['0x01 0x01', '0x03', 90],
    ['0x00 0x00', '0x00', undefined],
    ['nonsense', '0x01', undefined],
  ])('say %s %s as %s percent', async (life, reserve, expected) => {
    const at = 'sys/block/mmcblk0/device'
    const tree = await makeTree({ [`${at}/name`]: 'X', [`${at}/life_time`]: life, [`${at}/pre_eol_info`]: reserve })
    expect((await readCard(tree))?.lifeUsedPercent).toBe(expected)
  })

  test('are absent for a folder that is not there', async () => {
    expect(await readStorage(openTree(), '/no/such/folder')).toEqual({})
  })
})

describe('the network', () => {
  test('is the interfaces with hardware, their speed and their signal', async () => {
    expect(await readNetwork(boardTree('pi-4b'))).toEqual([
      { name: 'eth0', up: true, mbit: 1000 },
      { name: 'wlan0', up: true, signalDbm: -56 },
    ])
    expect(await readNetwork(boardTree('zero-2w'))).toEqual([{ name: 'wlan0', up: true, signalDbm: -71 }])
    expect(await readNetwork(await makeTree({}))).toBeUndefined()
  })
})

describe('the board', () => {
  test.each([
    ['pi-3b', 'Raspberry Pi 3 Model B Rev 1.2'],
    ['orin-nano', 'NVIDIA Jetson Orin Nano Developer Kit'],
    ['pc-rapl', 'LENOVO 20XW00AAGE'],
  ] as const)('%s is called %s', async (name, model) => {
    expect((await readBoard(boardTree(name))).model).toBe(model)
  })

  test('is called by its processor where nobody named it', async () => {
    const tree = await makeTree({
      'sys/class/dmi/id/product_name': 'To Be Filled By O.E.M.\n',
      'sys/class/dmi/id/board_name': 'Default string\n',
      'proc/cpuinfo': 'processor : 0\nmodel name : Intel(R) N100\n',
    })
    expect((await readBoard(tree)).model).toBe('Intel(R) N100')
  })

  test('counts memory and swap, and no swap where there is none', async () => {
    expect(await readVitals(boardTree('zero-2w'))).toMatchObject({ totalMiB: 429, freeMiB: 245, swapUsedMiB: 19 })
    expect(await readVitals(boardTree('pi-4b'))).not.toHaveProperty('swapUsedMiB')
  })
})

describe('no reader fails', () => {
  test.each(BOARDS)('on %s', async (name) => {
    const tree = boardTree(name)
    const all = [readBoard(tree), readVitals(tree), readZones(tree), readRails(tree), readNetwork(tree), readCard(tree)]
    await expect(Promise.all(all)).resolves.toHaveLength(6)
  })

  test('on this machine', async () => {
    const tree = openTree()
    const { totalMiB, freeMiB } = await readVitals(tree)
    expect(freeMiB).toBeGreaterThan(0)
    expect(totalMiB).toBeGreaterThan(freeMiB)
    const { disk } = await readStorage(tree, tmpdir())
    expect(disk?.freeMiB).toBeGreaterThan(0)
    expect(disk?.readOnly).toBe(false)
    expect((await readBoard(tree)).model).not.toBe('')
    for (const { c } of await readZones(tree)) expect(c).toBeLessThan(150)
    for (const { mbit = 1 } of (await readNetwork(tree)) ?? []) expect(mbit).toBeGreaterThan(0)
  })
})
