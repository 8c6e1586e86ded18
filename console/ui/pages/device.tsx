// One board: what it is, what it is doing and why, what it sees, and what it was paid for.
import { useComputed } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import type { DeviceDetail } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { Chart } from '../parts/chart.tsx'
import { Clocks } from '../parts/clocks.tsx'
import { Condition } from '../parts/condition.tsx'
import { DeviceFacts } from '../parts/device-facts.tsx'
import { DeviceLogs } from '../parts/device-logs.tsx'
import { Empty, Loading } from '../parts/empty.tsx'
import { FlagNotes } from '../parts/flags.tsx'
import { LiveView } from '../parts/live-view.tsx'
import { Receipts } from '../parts/receipts.tsx'
import { Removal } from '../parts/removal.tsx'
import { Notices } from '../parts/supply.tsx'
import { TaskTable } from '../parts/task-table.tsx'
import { Amount, Pill } from '../parts/words.tsx'
import { formatCount, formatEnergy, formatMiB, formatRate, formatTemperature } from '../quantities.ts'
import { detail, refusal } from '../state.ts'
import { energyTitle, stateWords } from '../words.ts'

type History = DeviceDetail['history']

function Charts({ history }: { history: History }) {
  const points = useMemo(() => {
    const of = (value: (point: History[number]) => number | undefined) =>
      history.map((point) => ({ at: point.at, value: value(point) }))
    return {
      rate: of((p) => p.rate),
      queue: of((p) => p.queue),
      memory: of((p) => p.memMiB),
      temperature: of((p) => p.tempC),
      energy: of((p) => p.energy?.j),
    }
  }, [history])
  if (history.length < 2)
    return <Empty title="Charts begin with the second heartbeat.">A heartbeat comes every 30 s.</Empty>
  return (
    <div class="charts">
      <Chart fromZero title="Answers per second" points={points.rate} format={formatRate} />
      <Chart fromZero whole title="Queue" points={points.queue} format={formatCount} />
      <Chart title="Memory" points={points.memory} format={formatMiB} />
      {history.some(({ tempC }) => tempC !== undefined) && (
        <Chart title="Temperature" points={points.temperature} format={formatTemperature} />
      )}
      {history.some(({ energy }) => energy !== undefined) && (
        <Chart fromZero title={energyTitle(history)} points={points.energy} format={formatEnergy} />
      )}
    </div>
  )
}

const Head = ({ device }: { device: DeviceDetail['device'] }) => (
  <>
    <p class="crumb">
      <a href={paths.devices}>Devices</a>
    </p>
    <div class="page-head">
      <h1>{device.name}</h1>
      <p class="earned">
        <Amount units={device.earned} /> <span class="muted">earned</span>
      </p>
    </div>
    <section class="card why" aria-label="State">
      <Pill {...stateWords(device)} />
      <p>{device.reason}</p>
      <Clocks device={device} />
      <FlagNotes flags={device.flags} />
      <Removal device={device} />
    </section>
  </>
)

const RECENT_TASKS = 10
const RECENT_RECEIPTS = 15

const Lists = ({ known }: { known: DeviceDetail }) => (
  <>
    <section>
      <h2 class="section-title">Recent tasks</h2>
      {known.tasks.length === 0 ? (
        <Empty title="This board has not been given a task yet." />
      ) : (
        <TaskTable tasks={known.tasks.slice(0, RECENT_TASKS)} />
      )}
    </section>
    <section>
      <h2 class="section-title">Receipts</h2>
      {known.receipts.length === 0 ? (
        <Empty title="No receipt has come in yet.">
          <p>A receipt follows each answered task within a second; without one nothing is paid.</p>
        </Empty>
      ) : (
        <Receipts receipts={known.receipts.slice(0, RECENT_RECEIPTS)} />
      )}
    </section>
  </>
)

export function DevicePage({ id }: { id: string }) {
  const known = useComputed(() => (detail.value?.device.id === id ? detail.value : undefined)).value
  if (!known && refusal.value?.status === 404)
    return (
      <Empty title="There is no board with this id.">
        <p>
          It may have been removed, or the address is cut short. <a href={paths.devices}>All devices</a>
        </p>
      </Empty>
    )
  if (!known) return <Loading what="the board" />
  return (
    <>
      <Head device={known.device} />
      <Notices notices={known.info?.notices} />
      <div class="device">
        <DeviceFacts known={known} />
        <div class="device-main">
          <LiveView tasks={known.tasks} />
          {known.vitals && <Condition vitals={known.vitals} energy={known.device.energy} />}
          <Charts history={known.history} />
        </div>
      </div>
      <Lists known={known} />
      <DeviceLogs id={known.device.id} key={known.device.id} />
    </>
  )
}
