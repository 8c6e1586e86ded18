// os-list.json, by which Raspberry Pi Imager offers the image: `rpi-imager --repo os-list.json`.
import { createHash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

interface Options {
  readonly version: string
  readonly image: string
  readonly compressed: string
  /** Where the files will be found, without a slash at the end. */
  readonly base: string
  /** YYYY-MM-DD. */
  readonly date: string
}

/** Imager's own words, doc/json-schema/os-list-schema.json in raspberrypi/rpi-imager. */
export async function listOf({ version, image, compressed, base, date }: Options) {
  return {
    os_list: [
      {
        name: `Bramble ${version} (64-bit)`,
        description: 'Edge inference that earns. Put bramble.toml onto the card after writing.',
        icon: `${base}/bramble.svg`,
        url: `${base}/${basename(compressed)}`,
        extract_size: statSync(image).size,
        extract_sha256: await sha256Of(image),
        image_download_size: statSync(compressed).size,
        image_download_sha256: await sha256Of(compressed),
        release_date: date,
        // No init_format: it would offer settings that go into firstrun.sh or cloud-init; name and Wi-Fi stand in bramble.toml.
        architecture: 'armv8',
        devices: ['pi3-64bit', 'pi4-64bit'],
      },
    ],
  }
}
