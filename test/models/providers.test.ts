import { expect, test } from 'vitest'
import { chainProviders } from '../../models/runtime/providers.ts'

const listed = new Set(['cpu', 'cuda', 'tensorrt', 'webgpu'])

test('without a wish the best that is installed is tried, and nothing is said to be missing', () => {
  expect(chainProviders(undefined, listed, () => true)).toEqual({ tries: ['cuda', 'cpu'], missing: [] })
  expect(chainProviders(undefined, listed, () => false)).toEqual({ tries: ['cpu'], missing: [] })
})

test('a wanted provider that the build does not have, or whose library is missing, is named', () => {
  expect(chainProviders(['tensorrt', 'cuda'], new Set(['cpu', 'cuda']), () => false)).toEqual({
    tries: ['cpu'],
    missing: [
      'tensorrt: this build of ONNX Runtime does not have it',
      'cuda: its library libonnxruntime_providers_cuda.so is not installed',
    ],
  })
})

test('the order is that of the wish, and the CPU comes last', () => {
  expect(chainProviders(['tensorrt', 'cpu', 'cuda'], listed, () => true).tries).toEqual(['tensorrt', 'cuda', 'cpu'])
})

test('why the board’s own build is not used is said first, where it could have helped', () => {
  const chain = (wanted: 'cuda' | 'cpu') => chainProviders([wanted], new Set(['cpu']), () => false, 'it is of 0.9.9')
  expect(chain('cuda').missing).toEqual(['it is of 0.9.9', 'cuda: this build of ONNX Runtime does not have it'])
  expect(chain('cpu').missing).toEqual([])
})
