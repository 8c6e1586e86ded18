import { expect, test } from 'vitest'
import { createRunLimits } from '../../models/runtime/run-limits.ts'
import { shipped } from './zoo.ts'

test('a picture model that is always quick gets a shorter limit, never below five seconds', async () => {
  const [pkg, other] = await Promise.all([shipped('mobilenet-v1'), shipped('ssd-mobilenet-v1')])
  const limits = createRunLimits(10_000)
  expect(limits.of(pkg)).toBe(10_000)
  for (let i = 0; i < 100; i += 1) limits.ran(pkg, { decode: 2, infer: 5 })
  expect(limits.of(pkg)).toBe(5_000)
  for (let i = 0; i < 100; i += 1) limits.ran(pkg, { decode: 5, infer: 85 })
  expect(limits.of(pkg)).toBeGreaterThan(8_900)
  expect(limits.of(other)).toBe(10_000)
})

test('a clip may be of any length, so its limit stays', async () => {
  const pkg = await shipped('silero-vad')
  const limits = createRunLimits(10_000)
  for (let i = 0; i < 100; i += 1) limits.ran(pkg, { decode: 0, infer: 1 })
  expect(limits.of(pkg)).toBe(10_000)
})
