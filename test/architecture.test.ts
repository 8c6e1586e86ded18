import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = new URL('..', import.meta.url).pathname
const ROOMS = ['agent', 'broker', 'console', 'models']
const files = ROOMS.flatMap((room) => globSync(`${room}/**/*.{ts,tsx,js}`, { cwd: root }))
  .filter((file) => !file.startsWith('console/ui/dist/'))
  .sort()

/** import … from 'x', export … from 'x', import 'x', import('x'); `typeOnly` where nothing of it is left at run time. */
const IMPORT =
  /^\s*(import|export)\s+(type\s)?[^'"()]*?from\s*'([^']+)'|^\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm

interface Import {
  readonly file: string
  /** A file of ours, from the root; or a package with its sub-path. */
  readonly to: string
  readonly typeOnly: boolean
}

const imports: readonly Import[] = files.flatMap((file) =>
  [...readFileSync(join(root, file), 'utf8').matchAll(IMPORT)].map(([, , type, from, bare, dynamic]) => {
    const text = from ?? bare ?? dynamic ?? ''
    const to = text.startsWith('.') ? normalize(join(dirname(file), text)) : text
    return { file, to, typeOnly: type !== undefined }
  }),
)
const ours = imports.filter(({ to }) => ROOMS.some((room) => to.startsWith(`${room}/`)))
const inside = (path: string, folders: readonly string[]): boolean =>
  folders.some((folder) => path === folder || path.startsWith(`${folder}/`))

/** From a folder (the longest that fits) to where its files may reach, itself included. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  'broker/protocol': ['broker/protocol'],
  'broker/link': ['broker/link'],
  broker: ['broker'],
  models: ['models', 'broker/protocol'],
  agent: ['agent', 'models', 'broker/protocol', 'broker/link', 'broker/link.ts', 'broker/launch.js'],
  'agent/logs': ['agent/logs'],
  'agent/commands': ['agent/commands', 'agent/logs', 'broker/protocol'],
  'agent/home-assistant': ['agent/home-assistant', 'broker/protocol'],
  'agent/outbox': ['agent/outbox', 'agent/clock.ts', 'agent/private-file.ts', 'broker/protocol'],
  'agent/frames': [
    'agent/frames',
    'agent/outbox',
    'agent/outbox.ts',
    'agent/clock.ts',
    'models',
    'broker/protocol',
    'broker/link/terms.ts',
  ],
  'agent/membership': ['agent/membership', 'agent/private-file.ts', 'broker/protocol'],
  'agent/packages': [
    'agent/packages',
    'agent/frames/serving.ts',
    'agent/membership/http.ts',
    'agent/clock.ts',
    'agent/private-file.ts',
    'models',
    'broker/protocol',
  ],
  'agent/software': [
    'agent/software',
    'agent/packages',
    'agent/clock.ts',
    'agent/private-file.ts',
    'models',
    'broker/protocol',
  ],
  'agent/presence': ['agent/presence', 'agent/frames', 'agent/outbox', 'agent/clock.ts', 'models', 'broker/protocol'],
  console: ['console', 'models', 'broker'],
  'console/store': ['console/store', 'broker/protocol'],
  'console/rewards': ['console/rewards', 'console/store', 'broker/protocol'],
  'console/market': ['console/market', 'console/rewards', 'console/store', 'broker/protocol'],
  'console/settlement': [
    'console/settlement',
    'console/wallets/wallets.ts',
    'console/rewards',
    'console/store',
    'broker/protocol',
  ],
  'console/registry': ['console/registry', 'console/store', 'broker/protocol', 'models'],
  'console/fleet': ['console/fleet', 'console/store', 'broker/protocol', 'broker/jwt.ts', 'models/manifest.ts'],
  'console/ui': ['console/ui'],
}
/** Where only types may come from: the page leaves the server's code out, and a trade names the shapes that it answers in. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  'console/ui': ['broker/protocol', 'console/routes/shapes.ts', 'console/app.ts'],
  'console/fleet': ['console/routes', 'console/events.ts'],
  'console/market': ['console/routes', 'console/events.ts'],
  'console/rewards': ['console/routes', 'console/events.ts'],
  'console/settlement': ['console/routes', 'console/events.ts'],
}

const ONLY_IMPORTER: Readonly<Record<string, readonly string[]>> = {
  'onnxruntime-node': ['models/runtime/session.ts'],
  sharp: ['models/runtime/decode', 'models/runtime/decode.ts'],
  '@julusian/jpeg-turbo': ['models/runtime/decode', 'models/runtime/decode.ts'],
  '@solana/web3.js': globSync('console/settlement/solana{,-*}.ts', { cwd: root }),
  litesvm: ['console/settlement/local-chain'],
  mqtt: ['broker/link/connection.ts'],
  aedes: ['broker/embedded.ts'],
}

const LINES = 300
/** Lists may be as long as what they list. */
const LISTS = new Set([
  'console/routes/shapes.ts',
  'console/store/migrations.ts',
  'broker/protocol/messages.ts',
  'models/manifest.ts',
])
const CATCH_ALL = /(^|\/)(utils?|helpers?|common|lib|managers?|services?|misc)(\.|\/|$)/

const homeOf = (file: string): string =>
  Object.keys(ARROWS)
    .filter((folder) => inside(file, [folder]))
    .reduce((a, b) => (b.length > a.length ? b : a))

/** The files on a cycle of run-time imports, as one path, or undefined. */
function findCycle(): string | undefined {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): string | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file].join(' → ')
    if (done.has(file)) return undefined
    const next = ours.filter((i) => i.file === file && !i.typeOnly)
    const cycle = next.map(({ to }) => visit(to, [...path, file])).find((found) => found !== undefined)
    done.add(file)
    return cycle
  }
  return files.map((file) => visit(file, [])).find((found) => found !== undefined)
}

describe('the architecture', () => {
  it('is read at all: every room has files and imports', () => {
    for (const room of ROOMS) expect(ours.filter(({ file }) => file.startsWith(room)).length, room).toBeGreaterThan(3)
  })

  it('has arrows that point one way', () => {
    const wrong = ours
      .filter(({ file, to, typeOnly }) => {
        const home = homeOf(file)
        return !inside(to, ARROWS[home] ?? []) && !(typeOnly && inside(to, TYPES[home] ?? []))
      })
      .map(({ file, to }) => `${file} → ${to}`)
    expect(wrong).toEqual([])
  })

  it.each(Object.entries(ONLY_IMPORTER))('imports %s in one place', (name, places) => {
    const wrong = imports.filter(({ file, to }) => inside(to, [name]) && !inside(file, places))
    expect(wrong.map(({ file }) => file)).toEqual([])
  })

  it('has no import cycle', () => {
    expect(findCycle()).toBeUndefined()
  })

  it('has no file over the ceiling', () => {
    const long = files.filter(
      (file) => !LISTS.has(file) && readFileSync(join(root, file), 'utf8').split('\n').length > LINES + 1,
    )
    expect(long).toEqual([])
  })

  it('has no catch-all name and no barrel', () => {
    expect(files.filter((file) => CATCH_ALL.test(file) || basename(file) === 'index.ts')).toEqual([])
  })

  it('has a first line that says what the file is', () => {
    const mute = files.filter((file) => !/^(#!.*\n)?\/[/*]/.test(readFileSync(join(root, file), 'utf8')))
    expect(mute).toEqual([])
  })
})
