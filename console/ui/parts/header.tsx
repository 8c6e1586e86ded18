// The top of every page: where one is, whether it is live, and the way to the other pages.
import { paths, type Route } from '../addresses.ts'
import { route } from '../router.ts'
import { connection, overview } from '../state.ts'
import { Berry, Icon, type IconName } from './icons.tsx'
import { ThemeToggle } from './theme.tsx'

const PAGES: readonly { path: string; label: string; icon: IconName; pages: readonly Route['page'][] }[] = [
  { path: paths.overview, label: 'Overview', icon: 'overview', pages: ['overview'] },
  { path: paths.devices, label: 'Devices', icon: 'devices', pages: ['devices', 'device', 'add-board'] },
  { path: paths.tasks, label: 'Tasks', icon: 'tasks', pages: ['tasks'] },
  { path: paths.models, label: 'Models', icon: 'models', pages: ['models'] },
  { path: paths.earnings, label: 'Earnings', icon: 'earnings', pages: ['earnings'] },
]

const CONNECTION = {
  connecting: { label: 'Connecting', tone: 'calm' },
  live: { label: 'Live', tone: 'ok' },
  offline: { label: 'Offline', tone: 'bad' },
} as const

const CLUSTERS = {
  local: {
    label: 'local chain',
    title: 'Tokens live on the chain inside this console; they are worth nothing elsewhere.',
  },
  devnet: { label: 'devnet', title: 'Tokens live on Solana devnet; they are worth nothing.' },
  'mainnet-beta': { label: 'mainnet', title: 'Tokens live on Solana mainnet-beta: this is real money.' },
} as const

export function Header() {
  const { label, tone } = CONNECTION[connection.value.kind]
  const cluster = overview.value && CLUSTERS[overview.value.cluster]
  return (
    <header class="top">
      <div class="top-inner">
        <a class="brand" href={paths.overview}>
          <Berry />
          Bramble
        </a>
        <nav class="nav" aria-label="Pages">
          {PAGES.map(({ path, label: name, icon, pages }) => (
            <a key={path} href={path} aria-current={pages.includes(route.value.page) ? 'page' : undefined}>
              <Icon name={icon} />
              {name}
            </a>
          ))}
        </nav>
        <div class="top-side">
          {cluster && (
            <span class="chip" title={cluster.title}>
              {cluster.label}
            </span>
          )}
          <span class={`connection ink-${tone}`}>{label}</span>
          <ThemeToggle />
        </div>
      </div>
    </header>
  )
}
