// The page's addresses: what a path means, and the path of each thing.

export type Route =
  | { readonly page: 'overview' }
  | { readonly page: 'devices' }
  | { readonly page: 'device'; readonly id: string }
  | { readonly page: 'add-board' }
  | { readonly page: 'tasks'; readonly id?: string }
  | { readonly page: 'models' }
  | { readonly page: 'earnings' }
  | { readonly page: 'transaction'; readonly id: string }
  | { readonly page: 'unknown'; readonly path: string }

function levelsOf(path: string): string[] | undefined {
  try {
    return path
      .split('/')
      .filter((level) => level !== '')
      .map(decodeURIComponent)
  } catch {
    // A stray percent sign: an address nobody made.
    return undefined
  }
}

export function parsePath(path: string): Route {
  const levels = levelsOf(path)
  if (levels === undefined) return { page: 'unknown', path }
  const [first, id, ...rest] = levels
  if (rest.length > 0) return { page: 'unknown', path }
  if (first === undefined) return { page: 'overview' }
  if (first === 'devices') return id === undefined ? { page: 'devices' } : { page: 'device', id }
  if (first === 'tasks') return id === undefined ? { page: 'tasks' } : { page: 'tasks', id }
  if (first === 'transactions' && id !== undefined) return { page: 'transaction', id }
  if (id !== undefined) return { page: 'unknown', path }
  return first === 'earnings' || first === 'models' || first === 'add-board'
    ? { page: first }
    : { page: 'unknown', path }
}

export const paths = {
  overview: '/',
  devices: '/devices',
  addBoard: '/add-board',
  device: (id: string) => `/devices/${encodeURIComponent(id)}`,
  tasks: '/tasks',
  task: (id: string) => `/tasks/${encodeURIComponent(id)}`,
  models: '/models',
  earnings: '/earnings',
  transaction: (signature: string) => `/transactions/${encodeURIComponent(signature)}`,
} as const
