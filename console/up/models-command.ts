// `bramble models …`: publisher keys, signatures, publishing, and which versions boards should serve.
import { readFile } from 'node:fs/promises'
import { type ArgsDef, defineCommand } from 'citty'
import type { DesiredChange, ModelView, PublisherView, ReleaseView } from '../routes/shapes.ts'
import { apiOf, command, needed, toConsole } from './command.ts'
import { ConsoleFault } from './console-api.ts'
import { changeText, listText } from './models-list.ts'
import { makeKey, signFolder, writeRelease } from './models-sign.ts'
import { publish } from './publish.ts'
import { progress } from './upload-progress.ts'

const folder = {
  type: 'positional',
  required: true,
  description: 'Folder of the package, with its model.json',
} as const
const signing = {
  key: { type: 'string', description: "File of the publisher's private key" },
  publisher: { type: 'string', description: 'Publisher id, as the console knows it' },
} satisfies ArgsDef
const where = {
  device: { type: 'string', description: 'For this board alone, instead of the fleet' },
} satisfies ArgsDef

const keygen = command(
  'keygen',
  'Make a publisher key.',
  { file: { type: 'positional', required: true, description: 'File to write it to, readable by you alone' } } as const,
  async ({ file }) => {
    const key = await makeKey(file)
    return `The key is in ${file}; keep a copy where nobody else comes. Its public half is\n${key}\nLet it in with: bramble models trust ID ${key}`
  },
)

const sign = command(
  'sign',
  'Sign a package. The release goes to a file, or to standard output.',
  { folder, ...signing, out: { type: 'string', description: 'File for the signed release' } } as const,
  async (args) => {
    const [keyFile, publisher] = [needed(args.key, 'key'), needed(args.publisher, 'publisher')]
    const jws = await signFolder({ folder: args.folder, keyFile, publisher, now: Date.now() })
    if (args.out === undefined) return jws
    await writeRelease(args.out, jws)
    return `Signed into ${args.out}.`
  },
)

async function releaseFor(args: {
  folder: string
  key?: string | undefined
  publisher?: string | undefined
  release?: string | undefined
}): Promise<string> {
  if (args.release === undefined)
    return signFolder({
      folder: args.folder,
      keyFile: needed(args.key, 'key'),
      publisher: needed(args.publisher, 'publisher'),
      now: Date.now(),
    })
  const text = await readFile(args.release, 'utf8').catch((cause: unknown) => {
    throw new ConsoleFault('unreadable', `the release ${args.release} cannot be read`, cause)
  })
  return text.trim()
}

const publishArgs = {
  folder,
  ...signing,
  release: { type: 'string', description: 'File with the signed release, instead of --key' },
  ...toConsole,
} as const
const publishing = command('publish', 'Give a package to the console.', publishArgs, async (args) => {
  const jws = await releaseFor(args)
  const [api, to] = [await apiOf(args), '/api/releases'] as const
  const { release, isNew, sentBytes } = await publish<ReleaseView>({ api, to, folder: args.folder, jws, progress })
  const name = `${release.model}@${release.version}`
  if (!isNew) return `${name} is here already, with the same files.`
  return `${name} of ${release.publisher} is published (${sentBytes} bytes sent). Boards serve it once you say so: bramble models desire ${name}`
})

const list = command('list', 'Models, versions, and how far the boards are.', toConsole, async (args) =>
  listText((await (await apiOf(args)).ask<ModelView[]>('/api/models')).body),
)

const desiredPath = (device: string | undefined): string =>
  device === undefined ? '/api/fleet/desired' : `/api/devices/${encodeURIComponent(device)}/desired`

const desireArgs = {
  model: {
    type: 'positional',
    required: true,
    description: 'MODEL@VERSION, or MODEL@own for what boards have themselves',
  },
  ...where,
  ...toConsole,
} as const
const desire = command('desire', 'Say which version boards should serve.', desireArgs, async (args) => {
  const [model = '', version = ''] = args.model.split('@')
  if (version === '')
    throw new ConsoleFault('unreadable', `${args.model}: write MODEL@VERSION, for example mobilenet-v1@1.0.0`)
  const json = { model, version: version === 'own' ? null : version }
  const { body } = await (await apiOf(args)).ask<DesiredChange>(desiredPath(args.device), { method: 'PUT', json })
  return changeText(body)
})

const backArgs = {
  model: { type: 'positional', required: true, description: 'MODEL' },
  ...where,
  ...toConsole,
} as const
const rollback = command('rollback', 'Go back to the version before the last change.', backArgs, async (args) => {
  const json = { model: args.model }
  const path = `${desiredPath(args.device)}/rollback`
  return changeText((await (await apiOf(args)).ask<DesiredChange>(path, { method: 'POST', json })).body)
})

const trustArgs = {
  id: { type: 'positional', required: true, description: 'Publisher id' },
  key: { type: 'positional', required: true, description: 'Its public key, as keygen printed it' },
  ...toConsole,
} as const
const trust = command('trust', 'Let a publisher in.', trustArgs, async (args) => {
  const json = { id: args.id, key: args.key }
  const { body } = await (await apiOf(args)).ask<PublisherView>('/api/publishers', { method: 'POST', json })
  return `Packages of ${body.id} are taken from now on.`
})

const revokeArgs = { id: { type: 'positional', required: true, description: 'Publisher id' }, ...toConsole } as const
const revoke = command(
  'revoke',
  'Trust a publisher no longer: boards stop serving its packages.',
  revokeArgs,
  async (args) => {
    await (await apiOf(args)).ask(`/api/publishers/${encodeURIComponent(args.id)}`, { method: 'DELETE' })
    return `Packages of ${args.id} are not served any more.`
  },
)

export const modelsCommand = defineCommand({
  meta: { name: 'models', description: 'Model packages: sign, publish, choose what boards serve.' },
  subCommands: { keygen, sign, trust, revoke, publish: publishing, list, desire, rollback },
})
