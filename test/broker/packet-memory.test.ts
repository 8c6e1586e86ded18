import '../../broker/link/connection.ts'
import { Writable } from 'node:stream'
import { writeToStream } from 'mqtt-packet'
import { expect, test } from 'vitest'

test('what is kept for each packet length holds its own few bytes and nothing of the pool', async () => {
  const written: Buffer[] = []
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      written.push(chunk)
      done()
    },
  })
  // 5 bytes of topic and its length: the remaining length is one that no other test writes.
  const packet = {
    cmd: 'publish',
    topic: 'abc',
    payload: Buffer.alloc(4_321),
    qos: 0,
    retain: false,
    dup: false,
  } as const
  writeToStream(packet, stream as never)
  await new Promise(setImmediate)
  const length = written.find((chunk) => chunk.equals(Buffer.from([(4_326 % 128) | 0x80, 4_326 >> 7])))
  expect(length?.buffer.byteLength).toBe(2)
})
