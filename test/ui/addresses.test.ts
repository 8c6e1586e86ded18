import { expect, it } from 'vitest'
import { parsePath, paths } from '../../console/ui/addresses.ts'

it.each([
  ['/', { page: 'overview' }],
  ['/devices', { page: 'devices' }],
  ['/devices/dev-a', { page: 'device', id: 'dev-a' }],
  ['/tasks/', { page: 'tasks' }],
  ['/tasks/01M', { page: 'tasks', id: '01M' }],
  ['/models', { page: 'models' }],
  ['/models/x', { page: 'unknown', path: '/models/x' }],
  ['/earnings', { page: 'earnings' }],
  ['/earnings/1', { page: 'unknown', path: '/earnings/1' }],
  ['/a/b/c', { page: 'unknown', path: '/a/b/c' }],
  ['/%zz', { page: 'unknown', path: '/%zz' }],
])('the address %s is a page', (path, route) => {
  expect(parsePath(path)).toEqual(route)
})

it('an id comes back from its address unchanged', () => {
  expect(parsePath(paths.device('a b/ü'))).toEqual({ page: 'device', id: 'a b/ü' })
})
