// `bramble software …`: versions of the agent itself, from their publisher to every board.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { defineCommand } from 'citty'
import type { RolloutView, SoftwareView } from '../routes/shapes.ts'
import { apiOf, command, toConsole } from './command.ts'
import { ConsoleFault } from './console-api.ts'
import { publish } from './publish.ts'
import { softwareText } from './software-text.ts'
import { progress } from './upload-progress.ts'

const SIGNED = 'release.jws'

const publishArgs = {
  folder: { type: 'positional', required: true, description: 'Folder that `npm run firmware:release` made' },
  ...toConsole,
} as const
const publishing = command('publish', 'Give a version of the agent to the console.', publishArgs, async (args) => {
  const file = join(args.folder, SIGNED)
  const jws = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ConsoleFault(
      'unreadable',
      `${file} cannot be read: is ${args.folder} what npm run firmware:release made?`,
      cause,
    )
  })
  const [api, to] = [await apiOf(args), '/api/software/releases'] as const
  const { release, isNew, sentBytes } = await publish<{ version: string; arch: string }>({
    api,
    to,
    folder: args.folder,
    jws: jws.trim(),
    progress,
  })
  const name = `${release.version} for ${release.arch}`
  if (!isNew) return `${name} is here already, with the same files.`
  return `${name} is published (${sentBytes} bytes sent). Boards get it with: bramble software rollout ${release.version}`
})

const trustArgs = {
  id: { type: 'positional', required: true, description: 'Publisher id' },
  key: { type: 'positional', required: true, description: 'Its public key, as bramble models keygen printed it' },
  ...toConsole,
} as const
const trust = command('trust', 'Let a publisher of agents in.', trustArgs, async (args) => {
  const json = { id: args.id, key: args.key }
  await (await apiOf(args)).ask('/api/software/publishers', { method: 'POST', json })
  return `Releases of ${args.id} are taken from now on. Boards decide for themselves: their packages are made with --software-key ${args.id}:${args.key}`
})

const revokeArgs = { id: { type: 'positional', required: true, description: 'Publisher id' }, ...toConsole } as const
const revoke = command('revoke', 'Trust a publisher of agents no longer.', revokeArgs, async (args) => {
  await (await apiOf(args)).ask(`/api/software/publishers/${encodeURIComponent(args.id)}`, { method: 'DELETE' })
  return `No board is told to run anything of ${args.id} any more.`
})

const showArgs = {
  ...toConsole,
  json: { type: 'boolean', default: false, description: 'As the API answers' },
} as const
const status = command('status', 'Releases, the rollout, and what every board runs.', showArgs, async (args) => {
  const { body } = await (await apiOf(args)).ask<SoftwareView>('/api/software')
  return args.json ? JSON.stringify(body) : softwareText(body)
})

const rolloutArgs = {
  version: { type: 'positional', required: true, description: 'VERSION' },
  canary: { type: 'string', description: 'Boards that get it first, ids separated by commas (drawn by lot)' },
  ...toConsole,
} as const
const rollout = command('rollout', 'Send a version to the fleet, ring by ring.', rolloutArgs, async (args) => {
  const canaries = args.canary?.split(',').filter((id) => id !== '')
  const json = { version: args.version, ...(canaries?.length && { canaries }) }
  await (await apiOf(args)).ask('/api/software/rollouts', { method: 'POST', json })
  return `${args.version} begins with the first boards; see: bramble software status`
})

type Moved = Pick<RolloutView, 'version' | 'state'>
const move = (name: string, description: string) =>
  command(name, description, toConsole, async (args) => {
    const { body } = await (await apiOf(args)).ask<Moved>(`/api/software/rollouts/${name}`, { method: 'POST' })
    return `The rollout of ${body.version} is ${body.state}.`
  })

export const softwareCommand = defineCommand({
  meta: { name: 'software', description: 'Versions of the agent: publish, roll out in rings, go back.' },
  subCommands: {
    trust,
    revoke,
    publish: publishing,
    status,
    rollout,
    stop: move('stop', 'Tell no further board.'),
    resume: move('resume', 'Go on where a stopped rollout was.'),
    rollback: move('rollback', 'Send every board back to the version before.'),
  },
})
