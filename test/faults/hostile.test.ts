// Everything bad that a pipeline can publish to the pool of a real `bramble up`: each gets a clear error, and the frame of
// somebody else beside it is answered.
import { encode } from 'cborg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../broker/protocol/messages.ts'
import { type Bramble, removeFolder, startBramble } from '../harness/bramble.ts'
import { CHELSEA, type Pipeline, startPipeline } from '../harness/pipeline.ts'
import { pixelBomb } from '../harness/pixel-bomb.ts'

const MODEL = 'mobilenet-v1'
const ENVELOPE = { ct: 'image/jpeg', data: CHELSEA }
const BAD: readonly (readonly [string, string, Uint8Array, ErrorCode])[] = [
  ['a truncated JPEG', MODEL, CHELSEA.subarray(0, 9_000), 'bad-frame'],
  ['a PNG of 20,000 × 20,000 pixels', MODEL, pixelBomb(20_000, 20_000), 'bad-frame'],
  ['a text file', MODEL, Buffer.from('hello, is this a frame?'), 'bad-envelope'],
  ['an empty payload', MODEL, Buffer.alloc(0), 'bad-envelope'],
  ['10 MB', MODEL, Buffer.alloc(10 * 1024 * 1024, 0xff), 'too-large'],
  ['an unknown model', 'no-such-model', CHELSEA, 'unknown-model'],
  ['a tensor of another shape', 'vibration-ae', Buffer.from(JSON.stringify({ samples: [1, 2, 3] })), 'bad-tensor'],
  ['an image for a model that hears', 'silero-vad', CHELSEA, 'bad-frame'],
  ['a CBOR map with an unknown key', MODEL, encode({ ...ENVELOPE, datum: 1 }), 'bad-envelope'],
  ['a CBOR map cut short', MODEL, encode(ENVELOPE).subarray(0, 500), 'bad-envelope'],
  ['a deadline in the past', MODEL, encode({ ...ENVELOPE, deadline: 1_600_000_000_000 }), 'expired'],
]

let bramble: Bramble
let pipeline: Pipeline

beforeAll(async () => {
  bramble = await startBramble({ flags: ['--no-demo', '--agents', '1'] })
  pipeline = await startPipeline(bramble.ready)
}, 60_000)
afterAll(async () => {
  await pipeline.close()
  await bramble.stop()
  await removeFolder(bramble.data)
})

describe('what bad input gets', () => {
  it.each(BAD)('%s is refused with a reason, and the next frame is answered', async (name, model, payload, code) => {
    const [bad, good] = [`bad-${BAD.findIndex(([n]) => n === name)}`, `good-${BAD.findIndex(([n]) => n === name)}`]
    const before = pipeline.answers.size
    pipeline.send(bad, model, payload)
    pipeline.send(good, MODEL)
    await pipeline.answered(before + 2)
    expect(pipeline.answers.get(bad)).toEqual([expect.objectContaining({ error: expect.objectContaining({ code }) })])
    expect(pipeline.answers.get(good)?.[0]).toHaveProperty('result.kind', 'classification')
  })

  it('leaves nothing lost and the books clean', async () => {
    const overview = await bramble.api<{ tasks: { lost: number; waiting: number } }>('/api/overview')
    expect(overview.tasks).toMatchObject({ lost: 0, waiting: 0 })
    expect(await bramble.api('/api/ledger/check')).toMatchObject({ ok: true })
  })
})
