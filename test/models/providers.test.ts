import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { gpuOf } from '../../models/runtime/gpu.ts'
import { chainProviders } from '../../models/runtime/providers.ts'
import { temporaryFolder } from './zoo.ts'

const listed = new Set(['cpu', 'cuda', 'tensorrt', 'webgpu'])

test('without a wish the best that is installed is tried, and nothing is said to be missing', () => {
  expect(chainProviders(undefined, listed, () => true)).toEqual({ tries: ['cuda', 'cpu'], missing: [] })
  expect(chainProviders(undefined, listed, () => false)).toEqual({ tries: ['cpu'], missing: [] })
})

test('without a wish, on a board that shows a GPU, it is said why that is not used', () => {
  expect(chainProviders(undefined, new Set(['cpu']), () => false, { gpu: '/dev/nvidia0' })).toEqual({
    tries: ['cpu'],
    missing: ['cuda: this build of ONNX Runtime does not have it (and /dev/nvidia0 is here)'],
  })
  expect(chainProviders(undefined, listed, () => true, { gpu: '/dev/nvidia0' }).missing).toEqual([])
  expect(chainProviders(['cpu'], listed, () => false, { gpu: '/dev/nvidia0' }).missing).toEqual([])
})

test.each([
  [{}, undefined],
  [{ 'dev/null': '', 'dev/nvme0': '' }, undefined],
  [{ 'dev/nvidia0': '' }, '/dev/nvidia0'],
  [{ 'dev/nvhost-gpu': '' }, '/dev/nvhost-gpu'],
  [{ 'proc/device-tree/model': 'NVIDIA Jetson Orin Nano Developer Kit\0' }, 'NVIDIA Jetson Orin Nano Developer Kit'],
  [{ 'proc/device-tree/model': 'Raspberry Pi 5 Model B Rev 1.0\0' }, undefined],
])('a GPU is known by its device node or by the name of the board: %j', async (files, shown) => {
  const root = await temporaryFolder()
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  expect(gpuOf(root)).toBe(shown)
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
  const chain = (wanted: 'cuda' | 'cpu') =>
    chainProviders([wanted], new Set(['cpu']), () => false, { passedOver: 'it is of 0.9.9' })
  expect(chain('cuda').missing).toEqual(['it is of 0.9.9', 'cuda: this build of ONNX Runtime does not have it'])
  expect(chain('cpu').missing).toEqual([])
})
