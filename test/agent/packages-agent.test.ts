// A real agent with its real inference process: a new version comes over the air while it works.
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InfoMessage } from '../../broker/protocol/messages.ts'
import { killed, type openBoard as Open, openBoard } from './board.ts'
import {
  type Console,
  createPublisher,
  MODELS,
  removeFolders,
  sha256,
  startConsole,
  temporaryFolder,
  version,
  whole,
} from './packages-rig.ts'

const acme = createPublisher()
let console: Console
let board: Awaited<ReturnType<typeof Open>>
let bag: Buffer

const offer = async (...[name, kiB, bend]: [string, number, Parameters<typeof version>[3]?]) => {
  const files = await version('fashion', name, kiB, bend)
  return { files, wanted: console.offer('fashion', name, files, acme.sign('fashion', name, files)) }
}

beforeAll(async () => {
  console = await startConsole([acme])
  const models = await temporaryFolder()
  await cp(join(MODELS, 'fashion'), join(models, 'fashion'), { recursive: true })
  bag = await readFile(join(MODELS, 'fashion', 'golden', 'bag.png'))
  board = await openBoard(['--models', models, '--log-level', 'debug'], console.listener)
})
afterAll(async () => {
  await board.close()
  await console.close()
  await removeFolders()
})

async function restarted(): Promise<void> {
  await killed(board.agent().child)
  await board.restart()
}
const info = (fits: (info: InfoMessage) => boolean, from = 0): Promise<InfoMessage> =>
  board.ear.find(({ topic, payload }) => {
    const said = topic.kind === 'info' ? InfoMessage.parse(JSON.parse(payload.toString())) : undefined
    return said && fits(said) ? said : undefined
  }, from)
const serves = (name: string) => (said: InfoMessage) => said.models.some(({ version: served }) => served === name)

test('a frame is answered by the old version until the new one is proven, and none is lost in between', async () => {
  const { files, wanted } = await offer('2.0.0', 2_048)
  const model = files.get('model.onnx')!
  const go = Promise.withResolvers<void>()
  console.lie(sha256(model), (request, response, bytes) => void go.promise.then(() => whole(request, response, bytes)))
  console.want(wanted)
  await board.serving()
  await restarted()
  const coming = await info(({ packages }) => packages?.[0]?.state === 'downloading')
  expect(coming.models).toMatchObject([{ id: 'fashion', version: '1.0.0' }])
  await board.send('fashion', 'before', bag)
  expect(await board.answer('fashion', 'before')).toMatchObject({ model: 'fashion@1.0.0' })
  go.resolve()

  const tasks: string[] = []
  const switched = info(serves('2.0.0')).then(() => true)
  while (!(await Promise.race([switched, board.answer('fashion', tasks.at(-1) ?? 'before').then(() => false)]))) {
    tasks.push(`during-${tasks.length}`)
    await board.send('fashion', tasks.at(-1), bag)
  }
  for (const task of tasks)
    expect(await board.answer('fashion', task)).toMatchObject({
      model: expect.stringMatching(/^fashion@[12]\.0\.0$/),
      result: { labels: [{ label: 'bag' }, {}, {}] },
    })
  await board.send('fashion', 'after', bag)
  expect(await board.answer('fashion', 'after')).toMatchObject({ model: 'fashion@2.0.0' })
  const said = await info(serves('2.0.0'))
  expect(said).toMatchObject({ models: [{ id: 'fashion', digest: sha256(model) }] })
})

test('a version that computes something else here is refused with the reason, and the old one goes on', async () => {
  const { wanted } = await offer('3.0.0', 1, (manifest) => {
    manifest.golden[0].digest = sha256('another answer')
  })
  console.want(wanted)
  const from = board.ear.heard.length
  await restarted()
  const said = await info(({ packages }) => packages?.[0]?.state === 'refused', from)
  expect(said.packages?.[0]).toMatchObject({ id: 'fashion', version: '3.0.0', reason: expect.stringMatching(/digest/) })
  expect(said.models).toMatchObject([{ id: 'fashion', version: '2.0.0' }])
  await board.send('fashion', 'still', bag)
  expect(await board.answer('fashion', 'still')).toMatchObject({ model: 'fashion@2.0.0' })
})

test('a board that starts without its console serves what it served last', async () => {
  await console.close()
  const from = board.ear.heard.length
  await restarted()
  expect((await info(() => true, from)).models).toMatchObject([{ id: 'fashion', version: '2.0.0' }])
})
