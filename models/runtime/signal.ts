// A window of samples as spectrum features, in double precision: the steps that a time-series manifest can name.
import type { Features } from '../manifest.ts'

/** In place, radix 2, decimation in time: `re.length` is a power of two. */
function fft(re: Float64Array, im: Float64Array): void {
  const n = re.length
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1
    for (; j & bit; bit >>= 1) j ^= bit
    j ^= bit
    if (i < j) {
      const [r, m] = [re[i] as number, im[i] as number]
      re[i] = re[j] as number
      im[i] = im[j] as number
      re[j] = r
      im[j] = m
    }
  }
  for (let half = 1; half < n; half *= 2) butterflies(re, im, half)
}

function butterflies(re: Float64Array, im: Float64Array, half: number): void {
  for (let k = 0; k < half; k++) {
    const [cos, sin] = [Math.cos((-Math.PI * k) / half), Math.sin((-Math.PI * k) / half)]
    for (let a = k; a < re.length; a += 2 * half) {
      const b = a + half
      const r = (re[b] as number) * cos - (im[b] as number) * sin
      const m = (re[b] as number) * sin + (im[b] as number) * cos
      re[b] = (re[a] as number) - r
      im[b] = (im[a] as number) - m
      re[a] = (re[a] as number) + r
      im[a] = (im[a] as number) + m
    }
  }
}

/** |rfft| of a real window without the Nyquist bin: window/2 magnitudes. */
export function magnitudes(window: Float64Array): Float64Array {
  const re = Float64Array.from(window)
  const im = new Float64Array(window.length)
  fft(re, im)
  return Float64Array.from({ length: window.length / 2 }, (_, i) => Math.hypot(re[i] as number, im[i] as number))
}

/** The symmetric Hann window, as numpy's hanning: both ends are zero. */
const hann = (i: number, length: number): number => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (length - 1))

/** One window of samples to the model's input, in the manifest's order of steps. */
export function featuresOf(samples: ArrayLike<number>, features: Features): Float32Array {
  const { taper, pool, log, mean, std } = features
  const n = samples.length
  const tapered = Float64Array.from(samples, (v, i) => (taper === 'hann' ? v * hann(i, n) : v))
  const bins = magnitudes(tapered)
  return Float32Array.from(mean, (mu, i) => {
    let sum = 0
    for (let k = i * pool; k < (i + 1) * pool; k++) sum += bins[k] as number
    const level = log === 'log1p' ? Math.log1p(sum / pool) : sum / pool
    return (level - mu) / (std[i] as number)
  })
}
