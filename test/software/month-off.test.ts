// A board that lay in a drawer for longer than its credential holds, at a real console: it gets another one with its key, asks, and
// runs the newest of the many versions that it missed.
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readConfig } from '../../agent/config.ts'
import { writeCredential } from '../../agent/membership/credential.ts'
import { createConsole } from '../../agent/membership/enroll.ts'
import { openIdentity } from '../../agent/membership/identity.ts'
import { openMembership } from '../../agent/membership.ts'
import { OUTBOX_READS, OUTBOX_WRITES } from '../../agent/outbox/migrations.ts'
import { archOf } from '../../agent/software/place.ts'
import type { SoftwareState } from '../../broker/protocol/messages.ts'
import { PACKAGE_PATHS } from '../../broker/protocol/packages.ts'
import { signSoftware } from '../../broker/protocol/software.ts'
import { rawKeyOf } from '../../console/registry/registry.ts'
import { removeFolders, sha256, temporaryFolder } from '../agent/packages-rig.ts'
import { createSoftwareBoard, installPackage, started, versionFiles } from '../agent/software-rig.ts'
import {
  silent,
  startTestBoard,
  startTestConsole,
  type TestBoard,
  type TestConsole,
} from '../console/running-console.ts'

const DAY = 86_400_000
const { privateKey } = generateKeyPairSync('ed25519')
const KEY = `maker:${rawKeyOf(privateKey)}`
const arch = archOf(process.arch)!

let aheadMs = 0
const now = (): number => Date.now() + aheadMs
let here: TestConsole
let other: TestBoard

beforeAll(async () => {
  here = await startTestConsole({}, now)
  other = await startTestBoard(here)
  await here.trades.packages.software.publishers.add({ id: 'maker', key: rawKeyOf(privateKey) })
})
afterAll(async () => {
  await other.link.close()
  await here.close()
  await removeFolders()
})

async function publish(version: string): Promise<string> {
  const files = [...versionFiles(version)].map(([path, bytes]) => ({ path, bytes, sha256: sha256(bytes) }))
  const { software, putBlob } = here.trades.packages
  const jws = signSoftware(
    {
      software: 'bramble-agent',
      version,
      arch,
      publisher: 'maker',
      at: new Date(now()).toISOString(),
      outbox: OUTBOX_WRITES,
      files: files.map(({ path, bytes, sha256 }) => ({
        path,
        sha256,
        bytes: bytes.byteLength,
        ...(path === 'node' && { run: true }),
      })),
    },
    privateKey,
  )
  await software.offer(jws)
  for (const { bytes, sha256 } of files)
    await putBlob(
      sha256,
      (async function* () {
        yield bytes
      })(),
    )
  const offered = await software.offer(jws)
  if (!('kept' in offered)) throw new Error(JSON.stringify(offered))
  return offered.kept.digest
}

/** As in a birth message. */
function says(device: string, software: Omit<SoftwareState, 'arch'>): void {
  const { info } = here.trades.devices.get(other.id)!
  here.trades.devices.info(device, { ...info!, software: { ...software, arch } })
}

/** To the other board, which is well with it. */
async function rollOut(version: string): Promise<void> {
  const release = await publish(version)
  const { rollouts } = here.trades.packages.software
  await rollouts.start(version, [other.id])
  says(other.id, { version, state: 'confirmed', release, outboxReads: OUTBOX_READS })
  while (rollouts.list()[0]?.state !== 'done') await rollouts.turn()
}

it('a board that was off for longer than its credential holds renews it and gets the newest of many versions', async () => {
  const data = await temporaryFolder()
  const packaged = await temporaryFolder()
  installPackage(packaged, versionFiles('0.1.0'), `${KEY}\n`)
  const config = readConfig({ BRAMBLE_DATA: data }, {})
  const identity = openIdentity(data)
  const { token } = await here.enrolment.mint({ owner: 'demo', label: 'drawer', uses: 1, expiresInS: 60 })
  writeCredential(data, await createConsole({ url: here.url, identity, now }).enrol(token))
  for (const device of [other.id, identity.device])
    says(device, { version: '0.1.0', state: 'packaged', outboxReads: OUTBOX_READS })
  here.trades.devices.status(identity.device, 'offline', false)
  for (const version of ['0.2.0', '0.3.0', '0.4.0', '0.5.0', '1.0.0']) {
    aheadMs += DAY
    await rollOut(version)
  }

  aheadMs += 31 * DAY
  const { renewal } = openMembership({ config, identity, now, sleep: async () => {}, log: silent })
  const expired = renewal!.current().credential
  expect((await here.call(PACKAGE_PATHS.desired, {}, expired)).status).toBe(401)
  expect(await renewal!.check()).toBe(true)
  expect(renewal!.current().credential).not.toBe(expired)

  const board = createSoftwareBoard({ url: here.url, data, packaged, renewal: renewal! })
  await board.start()
  await board.replaced
  await board.stop()
  expect(board.states.map(({ wanted }) => wanted?.version)).toEqual(['1.0.0', '1.0.0'])
  expect(started(packaged, data)).toBe('1.0.0')
})
