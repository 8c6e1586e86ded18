import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { missing, run, SYSTEM_PYTHON, start } from './programs.ts'
import { collect, openBroker, openClient, passwordOf, until } from './rig.ts'

/** The console's part of the pool, cut down to its topics: every task is answered with what came in. */
async function openPool() {
  const broker = await openBroker()
  const console_ = await openClient(broker.url, 'console')
  const heard = collect(console_)
  console_.on('message', (topic, payload) => {
    const [, , , requester, , model, task] = topic.split('/')
    console_.publish(
      `bramble/1/r/${requester}/out/${model}/${task}`,
      JSON.stringify({ id: task, bytes: payload.length }),
      {
        qos: 1,
      },
    )
  })
  await console_.subscribeAsync('bramble/1/r/+/in/#', { qos: 1 })
  return { broker, heard }
}

async function frameFile(bytes: Buffer): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-frame-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'frame.jpg')
  await writeFile(file, bytes)
  return file
}

describe('mosquitto_pub and mosquitto_sub', () => {
  const here = (context: TestContext): void => context.skip(missing.clients !== undefined, missing.clients ?? '')
  const as = (port: number, username: string): string[] => [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-u',
    username,
    '-P',
    passwordOf(username),
  ]

  it('publish a frame and read its answer', async (context) => {
    here(context)
    const { broker, heard } = await openPool()
    const subscriber = start('mosquitto_sub', [
      ...as(broker.port, 'req'),
      '-q',
      '1',
      '-t',
      'bramble/1/r/req/out/#',
      '-C',
      '1',
    ])
    // Its subscription is in force once a message to it arrives; until then the task is sent again under the same id.
    const file = await frameFile(Buffer.alloc(61_440, 0xff))
    let ended = false
    void subscriber.ended.then(() => {
      ended = true
    })
    const send = () =>
      run('mosquitto_pub', [...as(broker.port, 'req'), '-q', '1', '-t', 'bramble/1/r/req/in/m/t1', '-f', file])
    do expect(await send()).toMatchObject({ code: 0 })
    while (!ended && heard.messages.length < 50)
    expect(JSON.parse((await subscriber.ended).stdout.toString())).toEqual({ id: 't1', bytes: 61_440 })
  })

  it('are told no in words when the credential is wrong', async (context) => {
    here(context)
    const { broker } = await openPool()
    const { code, stderr } = await run('mosquitto_pub', [
      ...as(broker.port, 'req').slice(0, -1),
      'wrong',
      '-t',
      'bramble/1/r/req/in/m',
      '-m',
      'x',
    ])
    expect(code).not.toBe(0)
    expect(stderr).toContain('bad user name or password')
  })

  it('are cut off at a foreign topic, and told of a refused subscription', async (context) => {
    here(context)
    const { broker, heard } = await openPool()
    const pub = await run('mosquitto_pub', [
      ...as(broker.port, 'req'),
      '-q',
      '1',
      '-t',
      'bramble/1/r/other/in/m/t',
      '-m',
      'x',
    ])
    expect(pub.code).not.toBe(0)
    const sub = await run('mosquitto_sub', [...as(broker.port, 'req'), '-t', 'bramble/1/#', '-C', '1', '-W', '5'])
    expect(sub.stderr).toContain('denied')
    expect(heard.messages).toEqual([])
    expect(broker.stats()).toMatchObject({ deniedSubscribes: 1, refused: { 'denied-publish': 1 } })
  })
})

const PAHO = `
import sys, paho.mqtt.client as mqtt
port, username, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
make = getattr(mqtt, "CallbackAPIVersion", None)
client = mqtt.Client(make.VERSION1, client_id="camera") if make else mqtt.Client(client_id="camera")
client.username_pw_set(username, password)
def on_connect(client, userdata, flags, rc):
    print("connected", rc, flush=True)
    if rc != 0: sys.exit(1)
    client.subscribe("bramble/1/r/" + username + "/out/#", 1)
def on_subscribe(client, userdata, mid, granted):
    for i in range(50):
        client.publish("bramble/1/r/%s/in/m/t%d" % (username, i), b"\\xff\\xd8\\xff" + bytes(70000), 1)
answers = []
def on_message(client, userdata, message):
    answers.append(message.payload.decode())
    if len(answers) == 50:
        print("\\n".join(sorted(set(answers))), flush=True)
        client.disconnect()
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.connect("127.0.0.1", port, 30)
client.loop_forever()
`

describe('Python paho', () => {
  const here = (context: TestContext): void => context.skip(missing.paho !== undefined, missing.paho ?? '')

  it('sends fifty tasks at once and reads fifty answers', async (context) => {
    here(context)
    const { broker } = await openPool()
    const { code, stdout, stderr } = await run(SYSTEM_PYTHON, [
      '-c',
      PAHO,
      String(broker.port),
      'req',
      passwordOf('req'),
    ])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const [connected, ...answers] = stdout.toString().trim().split('\n')
    expect(connected).toBe('connected 0')
    expect(answers.map((line) => (JSON.parse(line) as { id: string }).id).sort()).toEqual(
      Array.from({ length: 50 }, (_, i) => `t${i}`).sort(),
    )
  })

  it('is told return code 4 when the credential is wrong', async (context) => {
    here(context)
    const { broker } = await openPool()
    const { stdout } = await run(SYSTEM_PYTHON, ['-c', PAHO, String(broker.port), 'req', 'wrong'])
    expect(stdout.toString()).toContain('connected 4')
    await until(() => broker.stats().refused['bad-credential'] > 0)
  })
})
