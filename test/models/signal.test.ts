import fc from 'fast-check'
import { expect, test } from 'vitest'
import { featuresOf, magnitudes } from '../../models/runtime/signal.ts'

test('the spectrum is the discrete Fourier transform by its definition', () => {
  const window = fc
    .integer({ min: 1, max: 7 })
    .chain((log) =>
      fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 2 ** log, maxLength: 2 ** log }),
    )
  fc.assert(
    fc.property(window, (samples) => {
      const bins = magnitudes(Float64Array.from(samples))
      expect(bins).toHaveLength(samples.length / 2)
      for (const [k, bin] of bins.entries()) {
        let [re, im] = [0, 0]
        for (const [n, v] of samples.entries()) {
          re += v * Math.cos((2 * Math.PI * k * n) / samples.length)
          im -= v * Math.sin((2 * Math.PI * k * n) / samples.length)
        }
        expect(Math.abs(bin - Math.hypot(re, im))).toBeLessThan(1e-8 * (1 + Math.hypot(re, im)))
      }
    }),
    { numRuns: 60 },
  )
})

test('features name their steps: taper, pooling, logarithm and z-score', () => {
  const tone = Array.from({ length: 64 }, (_, n) => Math.cos((2 * Math.PI * 8 * n) / 64))
  const plain = { taper: 'none', spectrum: 'magnitude', pool: 2, log: 'none' } as const
  const flat = featuresOf(tone, { ...plain, mean: Array(16).fill(0), std: Array(16).fill(1) })
  expect(flat.map((v) => Math.round(v))).toEqual(Float32Array.from({ length: 16 }, (_, i) => (i === 4 ? 16 : 0)))
  const scaled = featuresOf(tone, { ...plain, log: 'log1p', mean: Array(16).fill(1), std: Array(16).fill(2) })
  expect(scaled[4]).toBeCloseTo((Math.log1p(16) - 1) / 2)
  const tapered = featuresOf(tone, { ...plain, taper: 'hann', mean: Array(16).fill(0), std: Array(16).fill(1) })
  // The taper spreads a pure tone over its neighbours.
  expect(tapered[4]).toBeLessThan(16)
  expect(tapered[3]).toBeGreaterThan(1)
})
