import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readBoard, readVitals } from '../../agent/presence/vitals.ts'

const folders: string[] = []
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))))

/** A tree of files as the kernel documents it; none of it was recorded on a board. */
async function tree(files: Record<string, string>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'vitals-'))
  folders.push(root)
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return root
}

const zone = (index: number, type: string, temp: string) => ({
  [`sys/class/thermal/thermal_zone${index}/type`]: `${type}\n`,
  [`sys/class/thermal/thermal_zone${index}/temp`]: `${temp}\n`,
})

describe('vitals', () => {
  test('reads the processor of a Raspberry Pi by the type of its zone', async () => {
    const root = await tree({
      ...zone(0, 'cpu-thermal', '48312'),
      'proc/meminfo': 'MemTotal:         439356 kB\nMemFree:           10000 kB\nMemAvailable:     250880 kB\n',
      'proc/device-tree/model': 'Raspberry Pi Zero 2 W Rev 1.0\0',
    })
    expect(await readVitals(root)).toEqual({ tempC: 48.3, totalMiB: 429, freeMiB: 245 })
    expect(await readBoard(root)).toMatchObject({ model: 'Raspberry Pi Zero 2 W Rev 1.0', memMiB: 429 })
  })

  test('picks the processor zone of a Jetson wherever it stands, and no powered-off zone', async () => {
    const root = await tree({
      ...zone(0, 'PMIC-Die', '100000'),
      ...zone(1, 'cv0-thermal', '-256000'),
      ...zone(5, 'tj-thermal', '55125'),
      ...zone(8, 'cpu-thermal', '-256000'),
    })
    expect((await readVitals(root)).tempC).toBe(55.1)
  })

  test('leaves out a temperature where there is no sensor, an unreadable one or only others', async () => {
    expect(await readVitals(await tree({}))).not.toHaveProperty('tempC')
    expect(await readVitals(await tree(zone(0, 'cpu-thermal', '')))).not.toHaveProperty('tempC')
    expect(await readVitals(await tree(zone(0, 'acpitz', '27800')))).not.toHaveProperty('tempC')
  })

  test('reads this machine', async () => {
    const { totalMiB, freeMiB } = await readVitals()
    expect(freeMiB).toBeGreaterThan(0)
    expect(totalMiB).toBeGreaterThan(freeMiB)
  })
})
