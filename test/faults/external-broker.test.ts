// `--mqtt-url`: the console, its boards and a pipeline on a broker that is not ours.
import { expect, it } from 'vitest'
import { missing, startMosquitto } from '../broker/programs.ts'
import { removeFolder, startBramble } from '../harness/bramble.ts'
import { startPipeline } from '../harness/pipeline.ts'

it('mosquitto carries everything, and comes back after it was killed', { timeout: 60_000 }, async ({ skip }) => {
  skip(missing.mosquitto !== undefined, missing.mosquitto ?? '')
  const mosquitto = await startMosquitto()
  const bramble = await startBramble({ flags: ['--no-demo', '--agents', '1', '--mqtt-url', mosquitto.url] })
  try {
    expect(bramble.ready.mqtt.url).toBe(mosquitto.url)
    const pipeline = await startPipeline(bramble.ready)
    pipeline.send('before', 'ssd-mobilenet-v1')
    await pipeline.answered(1)
    await mosquitto.restart()
    pipeline.send('after', 'ssd-mobilenet-v1')
    await pipeline.answered(2)
    for (const [answer] of pipeline.answers.values()) expect(answer).toHaveProperty('result.objects.0.label', 'cat')
    await pipeline.close()
  } finally {
    await bramble.stop()
    await removeFolder(bramble.data)
  }
})
