import { describe, expect, test } from 'vitest'
import { ConfigError, hostSettings, readConfig } from '../../agent/config.ts'

const faultsOf = (env: Record<string, string>, flags: Record<string, unknown> = {}): readonly string[] => {
  try {
    readConfig(env, flags)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}

describe('the configuration', () => {
  test('takes flags before the environment before defaults', () => {
    const config = readConfig({ BRAMBLE_DATA: '/env', BRAMBLE_THREADS: '2' }, { data: '/flag' })
    expect(config).toMatchObject({ data: '/flag', threads: 2, payloadKiB: 1024 })
  })

  test('names every fault at once and where its value came from', () => {
    const faults = faultsOf({ BRAMBLE_THREADS: 'many' }, { 'mqtt-url': 'http://broker', device: 'a.b' })
    expect(faults).toHaveLength(3)
    expect(faults.map((fault) => fault.split(':')[0])).toEqual(['--mqtt-url', '--device', 'BRAMBLE_THREADS'])
  })

  test('refuses what contradicts itself', () => {
    expect(faultsOf({}, { device: 'cam1' })[0]).toMatch(/--mqtt-url/)
    expect(faultsOf({}, { username: 'u', 'password-file': 'f' })).toHaveLength(2)
  })

  test('takes execution providers in their order, `auto` as none named, and no others', () => {
    const providersOf = (providers: string) => readConfig({ BRAMBLE_PROVIDERS: providers }, {}).providers
    expect(providersOf('tensorrt, cuda')).toEqual(['tensorrt', 'cuda'])
    expect(providersOf('auto')).toBeUndefined()
    expect(faultsOf({ BRAMBLE_PROVIDERS: 'cuda,xnnpack' }, {})).toEqual([
      'BRAMBLE_PROVIDERS: must be auto, or some of tensorrt, cuda, cpu',
    ])
  })

  test('gives TensorRT the time to build its engines, and nobody else', () => {
    const limitOf = (providers: string) => hostSettings(readConfig({ BRAMBLE_PROVIDERS: providers }, {})).loadLimitMs
    expect(limitOf('tensorrt,cuda')).toBe(3_600_000)
    expect(limitOf('cuda')).toBeUndefined()
  })

  test('takes an empty variable as an unset one', () => {
    expect(readConfig({ BRAMBLE_SERVE: '', BRAMBLE_DEVICE: '' }, {}).serve).toBeUndefined()
  })
})
