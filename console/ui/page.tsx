// The frame around every page: login first, then the header, what must not be overlooked, and the page the address names.
import { useEffect } from 'preact/hooks'
import { paths, type Route } from './addresses.ts'
import { AddBoardPage, CardPage } from './pages/add-board.tsx'
import { DevicePage } from './pages/device.tsx'
import { DevicesPage } from './pages/devices.tsx'
import { EarningsPage } from './pages/earnings.tsx'
import { LoginPage } from './pages/login.tsx'
import { ModelsPage } from './pages/models.tsx'
import { OverviewPage } from './pages/overview.tsx'
import { TasksPage } from './pages/tasks.tsx'
import { TransactionPage } from './pages/transaction.tsx'
import { Arrival } from './parts/arrival.tsx'
import { OfflineBanner, RefusalBanner } from './parts/banner.tsx'
import { Empty } from './parts/empty.tsx'
import { Header } from './parts/header.tsx'
import { route } from './router.ts'
import { bearer, detail } from './state.ts'

function PageFor({ at }: { at: Route }) {
  switch (at.page) {
    case 'overview':
      return <OverviewPage />
    case 'devices':
      return <DevicesPage />
    case 'device':
      return <DevicePage key={at.id} id={at.id} />
    case 'add-board':
      return <AddBoardPage />
    case 'tasks':
      return <TasksPage />
    case 'models':
      return <ModelsPage />
    case 'earnings':
      return <EarningsPage />
    case 'transaction':
      return <TransactionPage key={at.id} signature={at.id} />
    case 'unknown':
      return (
        <Empty title={`There is no page at ${at.path}.`}>
          <a href={paths.overview}>Go to the overview</a>
        </Empty>
      )
  }
}

const TITLES = {
  overview: 'Overview',
  devices: 'Devices',
  device: 'Board',
  'add-board': 'Add board',
  tasks: 'Tasks',
  models: 'Models',
  earnings: 'Earnings',
  transaction: 'Transaction',
  unknown: 'Not found',
} as const

export function Page() {
  const at = route.value
  const name = at.page === 'device' && detail.value?.device.id === at.id ? detail.value.device.name : TITLES[at.page]
  useEffect(() => {
    document.title = `${name} · Bramble`
  }, [name])
  if (at.page === 'add-board' && location.hash.startsWith('#card=')) return <CardPage />
  if (bearer.value === undefined) return <LoginPage />
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <Header />
      <OfflineBanner />
      <RefusalBanner />
      <main id="content" tabIndex={-1} class={`page page-${at.page}`}>
        <PageFor at={at} />
      </main>
      <Arrival />
    </>
  )
}
