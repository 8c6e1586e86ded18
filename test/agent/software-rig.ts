// The part of an agent that updates itself, on the folders of a real launcher, with small programs in the place of agents.
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { readConfig } from '../../agent/config.ts'
import type { Renewal } from '../../agent/membership/renewal.ts'
import { createDesired } from '../../agent/packages/desired.ts'
import { archOf } from '../../agent/software/place.ts'
import { openSoftware, type Software } from '../../agent/software.ts'
import type { SoftwareState } from '../../broker/protocol/messages.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import type { RunOutcome } from '../../models/runtime/host.ts'
import { createFakeClock } from './fake-clock.ts'
import { type Files, TOKEN } from './packages-rig.ts'

const LAUNCHER = new URL('../../firmware-scripts/deb/files/launch', import.meta.url).pathname

/** A version that says its name and ends well; `kiB` of it are its own. */
export const versionFiles = (name: string, kiB = 1): Files =>
  new Map([
    ['agent/main.js', Buffer.from(`console.log(${JSON.stringify(name)})\n//${'x'.repeat(kiB * 1024)}\n`)],
    ['node', Buffer.from(`#!/bin/sh\nexec ${process.execPath} "$@"\n`)],
    ['node_modules/@img/colour/index.js', Buffer.from(`exports.big = '${'y'.repeat(64 * 1024)}'\n`)],
    ['node_modules/@img/colour/again.js', Buffer.from(`exports.big = '${'y'.repeat(64 * 1024)}'\n`)],
    ['node_modules/empty.js', Buffer.alloc(0)],
    ['package.json', Buffer.from('{"type":"module"}')],
  ])

/** As the Debian package lays it out. */
export function installPackage(folder: string, files: Files, keys?: string): void {
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
  chmodSync(join(folder, 'node'), 0o755)
  writeFileSync(join(folder, 'launch'), readFileSync(LAUNCHER))
  chmodSync(join(folder, 'launch'), 0o755)
  if (keys !== undefined) writeFileSync(join(folder, 'software-keys'), keys)
}

/** What the next start of the service runs. */
export const started = (packaged: string, data: string): string =>
  execFileSync(join(packaged, 'launch'), ['run'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env['PATH'], BRAMBLE_DATA: data, NOTIFY_SOCKET: '/nowhere' },
  }).trim()

interface BoardOptions {
  readonly url: string
  readonly data: string
  readonly packaged: string
  /** Of a board that is enrolled; else it has the one credential that the rig's console takes. */
  readonly renewal?: Pick<Renewal, 'current' | 'doubt'>
  /** Settings, as in the environment of the service. */
  readonly settings?: Readonly<Record<string, string>>
  /** False: from a source checkout. */
  readonly launched?: boolean
  readonly calm?: () => boolean
  readonly freeBytes?: number
  readonly served?: readonly ModelPackage[]
  readonly run?: () => Promise<RunOutcome>
}

export function createSoftwareBoard(options: BoardOptions) {
  const { url, data, packaged, settings = {}, launched = true, calm = () => true, freeBytes = 1 << 30 } = options
  const fake = createFakeClock()
  const log = pino({ level: 'silent' })
  const current = join(data, 'software/current')
  const slot = existsSync(current) ? readlinkSync(current) : 'packaged'
  const env = { BRAMBLE_PACKAGED: packaged, BRAMBLE_SOFTWARE: join(data, 'software'), BRAMBLE_SLOT: slot }
  const stop = new AbortController()
  const arch = archOf(process.arch)!
  const { renewal = { current: () => ({ console: url, credential: TOKEN }), doubt: () => {} } } = options
  const desired = createDesired({
    file: join(data, 'desired.json'),
    arch,
    console: { url, bearer: () => renewal.current().credential },
    ...fake.clock,
    log,
  })
  const states: SoftwareState[] = []
  let listeners: (() => void)[] = []
  const software: Software = openSoftware({
    config: readConfig({ ...settings, BRAMBLE_DATA: data }, {}),
    membership: { renewal } as never,
    version: slot,
    env: launched ? env : {},
    desired: desired.current,
    serving: { served: () => options.served ?? [] },
    host: { run: options.run } as never,
    work: { load: () => (isFetched() && !calm() ? 1 : 0) },
    freeBytes: async () => freeBytes,
    changed() {
      const state = software.state()
      if (state) states.push(state)
      for (const listener of [...listeners]) listener()
    },
    clock: fake.clock,
    log,
  })
  let running: Promise<void> | undefined
  /** Frames in hand slow a download down, by a clock that stands still here. */
  const isFetched = (): boolean => states.at(-1)?.wanted?.state === 'switching'
  return {
    ...fake,
    software,
    states,
    replaced: software.replaced,
    async ask(): Promise<void> {
      await desired.ask(AbortSignal.timeout(10_000))
      software.wake()
    },
    async start(): Promise<void> {
      await desired.ask(AbortSignal.timeout(10_000)).catch(() => undefined)
      running = software.run(stop.signal)
    },
    /** Resolves once `is` holds: looked at whenever the board says that something changed. */
    until(is: (state: SoftwareState) => boolean): Promise<SoftwareState> {
      return new Promise((resolve) => {
        const look = (): void => {
          const state = software.state()
          if (!state || !is(state)) return
          listeners = listeners.filter((other) => other !== look)
          resolve(state)
        }
        listeners.push(look)
        look()
      })
    },
    async stop(): Promise<void> {
      stop.abort()
      await running
    },
  }
}
export type SoftwareBoard = ReturnType<typeof createSoftwareBoard>
