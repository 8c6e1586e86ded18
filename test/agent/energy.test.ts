import { afterAll, describe, expect, test } from 'vitest'
import { createEnergy, type Interval } from '../../agent/presence/energy.ts'
import { createMeter, useOf } from '../../agent/presence/meter.ts'
import { wattsPerCpuOf } from '../../agent/presence/profiles.ts'
import { joulesBetween, readRapl } from '../../agent/presence/rapl.ts'
import { readBoard } from '../../agent/presence/vitals.ts'
import { boardTree, makeTree, removeTrees, writeTree } from './boards.ts'

afterAll(removeTrees)

const idle = (watts: number, seconds = 5): Interval => ({
  seconds,
  joules: watts * seconds,
  busyS: 0.1,
  cpuS: 4 * seconds,
})
const busy = (watts: number, busyS: number, seconds = 5): Interval => ({
  seconds,
  joules: watts * seconds,
  busyS,
  cpuS: 4 * seconds,
})

describe('energy per inference', () => {
  test('is what was measured beyond the idle board, by processor time', () => {
    const energy = createEnergy(undefined)
    energy.note(idle(3))
    // 10 s of processor time cost (7 − 3) × 5 = 20 J: 2 W a processor.
    energy.note(busy(7, 10))
    expect(energy.of(50)).toEqual({ j: 0.1, from: 'measured' })
  })

  test('is estimated until the board was seen idle and at work, and says so', () => {
    const energy = createEnergy(1.7)
    expect(energy.of(100)).toEqual({ j: 0.17, from: 'estimated' })
    energy.note(busy(7, 10))
    expect(energy.of(100)?.from).toBe('estimated')
    energy.note(idle(3))
    energy.note(busy(7, 10))
    expect(energy.of(100)).toEqual({ j: 0.2, from: 'measured' })
  })

  test('is absent, never 0, where nothing is known', () => {
    const energy = createEnergy(undefined)
    expect(energy.of(100)).toBeUndefined()
    expect(energy.take()).toBeUndefined()
  })

  test('takes no nonsense of a sensor for measured', () => {
    const energy = createEnergy(undefined)
    energy.note(idle(3))
    energy.note({ seconds: 5, joules: -4, busyS: 10, cpuS: 20 })
    energy.note({ seconds: 5, joules: 90_000, busyS: 10, cpuS: 20 })
    energy.note({ seconds: 3_600, joules: 20_000, busyS: 10, cpuS: 14_400 })
    expect(energy.of(100)).toBeUndefined()
    // Busier and yet no more power than idle: no price follows from it.
    energy.note(busy(2.9, 10))
    expect(energy.of(100)).toBeUndefined()
  })

  test('forgets what work cost a while ago', () => {
    const energy = createEnergy(undefined)
    energy.note(idle(3))
    energy.note(busy(7, 10))
    for (let i = 0; i < 60; i += 1) energy.note(busy(5, 10))
    expect(energy.of(1000)?.j).toBeCloseTo(1, 2)
  })

  test('is averaged for a heartbeat; one estimate among them makes it an estimate', () => {
    const energy = createEnergy(1)
    energy.of(100)
    energy.of(300)
    expect(energy.take()).toEqual({ j: 0.2, from: 'estimated' })
    expect(energy.take()).toBeUndefined()
    energy.of(100)
    energy.note(idle(3))
    energy.note(busy(7, 10))
    energy.of(100)
    expect(energy.take()).toEqual({ j: 0.15, from: 'estimated' })
    energy.of(100)
    expect(energy.take()).toEqual({ j: 0.2, from: 'measured' })
  })

  test('knows how long a run takes', () => {
    const energy = createEnergy(undefined)
    expect(energy.runMs()).toBe(0)
    energy.of(100)
    expect(energy.runMs()).toBe(100)
    energy.of(200)
    expect(energy.runMs()).toBe(110)
  })
})

describe('the profiles', () => {
  test.each(['pi-3b', 'pi-4b', 'pi-5', 'zero-2w', 'orin-nano', 'agx-orin'] as const)('know %s', async (name) => {
    const { model } = await readBoard(boardTree(name))
    const watts = wattsPerCpuOf(model)
    expect(watts).toBeGreaterThan(0.3)
    expect(watts).toBeLessThan(3)
  })

  test('tell the boards apart, and guess nothing of others', () => {
    expect(wattsPerCpuOf('Raspberry Pi 3 Model B Plus Rev 1.3')).toBe(0.63)
    expect(wattsPerCpuOf('Raspberry Pi 3 Model B Rev 1.2')).toBe(0.58)
    expect(wattsPerCpuOf('Raspberry Pi Compute Module 4 Rev 1.0')).toBe(0.85)
    expect(wattsPerCpuOf('GMKtec NucBox G3', 'Intel(R) N100')).toBe(3.5)
    expect(wattsPerCpuOf('LENOVO 20XW00AAGE', 'Intel(R) Core(TM) i7-1165G7')).toBeUndefined()
    expect(wattsPerCpuOf('Raspberry Pi 6 Model B')).toBeUndefined()
  })
})

describe('the sensors', () => {
  test('count the packages of RAPL, and through the wrap-around', async () => {
    const before = await readRapl(boardTree('pc-rapl'))
    expect(before).toEqual([{ name: 'package-0', microjoules: 262_143_000_000, range: 262_143_328_850 }])
    const after = before.map((counter) => ({ ...counter, microjoules: 1_671_150 }))
    expect(joulesBetween(before, after)).toBeCloseTo(2, 6)
    expect(joulesBetween(before, [])).toBeUndefined()
    expect(joulesBetween([], after)).toBeUndefined()
  })

  test('read the use of the processor without idle and waiting', () => {
    expect(useOf('cpu  1000 0 500 90000 100 0 20 0 0 0\ncpu0 …')).toEqual({ busyS: 15.2, cpuS: 916.2 })
    expect(useOf(undefined)).toBeUndefined()
  })

  test('make an interval of a Jetson’s rails', async () => {
    const hwmon = 'sys/class/hwmon/hwmon1'
    const rail = (mA: string) => ({
      [`${hwmon}/name`]: 'ina3221',
      [`${hwmon}/in1_label`]: 'VDD_IN',
      [`${hwmon}/in1_input`]: '5000',
      [`${hwmon}/curr1_input`]: mA,
    })
    const tree = await makeTree({ ...rail('1000'), 'proc/stat': 'cpu  0 0 0 1000 0 0 0 0' })
    let at = 0
    const meter = createMeter(tree, () => at)
    expect(await meter.read()).toBeUndefined()
    at = 5_000
    await writeTree(tree.root, { ...rail('1400'), 'proc/stat': 'cpu  600 0 0 1400 0 0 0 0' })
    expect(await meter.read()).toEqual({ seconds: 5, joules: 30, busyS: 6, cpuS: 10 })
  })

  test('make an interval of RAPL, and none where a board measures nothing', async () => {
    const files = (uj: string) => ({
      'sys/class/powercap/intel-rapl:0/name': 'package-0',
      'sys/class/powercap/intel-rapl:0/energy_uj': uj,
      'sys/class/powercap/intel-rapl:0/max_energy_range_uj': '1000000000',
    })
    const tree = await makeTree({ ...files('5000000'), 'proc/stat': 'cpu  0 0 0 1000 0' })
    let at = 0
    const meter = createMeter(tree, () => at)
    await meter.read()
    at = 2_000
    await writeTree(tree.root, { ...files('25000000'), 'proc/stat': 'cpu  100 0 0 1100 0' })
    expect(await meter.read()).toMatchObject({ seconds: 2, joules: 20, busyS: 1 })
    const none = createMeter(boardTree('pi-4b'), () => 0)
    await none.read()
    expect(await none.read()).toBeUndefined()
  })
})
