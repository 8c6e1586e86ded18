// How a board is: heat, power, disk, network, clock, and what happened to its inference processes. What it has no sensor for is
// not shown at all.
import type { DeviceDetail } from '../../routes/shapes.ts'
import {
  formatCount,
  formatEnergy,
  formatMiB,
  formatRate,
  formatTemperature,
  formatWatts,
  plural,
} from '../quantities.ts'
import { byConsole, formatSpan } from '../times.ts'
import { FLAG_WORDS } from '../words.ts'
import { Fact } from './fact.tsx'
import { Moment } from './words.tsx'

type Vitals = NonNullable<DeviceDetail['vitals']>
type Energy = NonNullable<DeviceDetail['device']['energy']>

const Lines = ({ of }: { of: readonly string[] }) => (
  <ul class="lines">
    {of.map((line) => (
      <li key={line}>{line}</li>
    ))}
  </ul>
)

const labels = (flags: NonNullable<Vitals['power']>['now']): string =>
  flags.map((flag) => FLAG_WORDS[flag].label.toLowerCase()).join(', ')

function supplyWords({ now, sinceBoot }: NonNullable<Vitals['power']>): string {
  if (now.length > 0) return `now: ${labels(now)}`
  return sinceBoot.length > 0 ? `good now; since it booted: ${labels(sinceBoot)}` : 'good since it booted'
}

const Supply = ({ power }: { power: NonNullable<Vitals['power']> }) => (
  <Fact name="Supply">
    <span class={power.now.length > 0 ? 'ink-bad' : power.sinceBoot.length > 0 ? 'ink-warn' : ''}>
      {supplyWords(power)}
    </span>
  </Fact>
)

const energyWords = ({ j, from }: Energy): string =>
  from === 'measured'
    ? `${formatEnergy(j)} an inference, measured by its power sensor`
    : `about ${formatEnergy(j)} an inference, estimated from processor time`

const interfaceWords = ({ name, up, mbit, signalDbm }: NonNullable<Vitals['network']>[number]): string => {
  if (!up) return `${name} down`
  const radio = signalDbm === undefined ? '' : ` ${signalDbm} dBm (${signalWords(signalDbm)})`
  return `${name} up${mbit === undefined ? '' : ` ${formatCount(mbit)} Mbit/s`}${radio}`
}

/** As Wi-Fi drivers and access points name it. */
const signalWords = (dBm: number): string => (dBm >= -60 ? 'strong' : dBm >= -70 ? 'fair' : dBm >= -80 ? 'weak' : 'bad')

const NOTICED_SKEW_MS = 1_000
const WRONG_SKEW_MS = 30_000

const Skew = ({ ms }: { ms: number }) => (
  <Fact name="Clock">
    {Math.abs(ms) < NOTICED_SKEW_MS ? (
      'agrees with this console'
    ) : (
      <span class={Math.abs(ms) > WRONG_SKEW_MS ? 'ink-bad' : ''}>
        {formatSpan(Math.abs(ms))} {ms > 0 ? 'ahead of' : 'behind'} this console
      </span>
    )}
  </Fact>
)

const Disk = ({ disk }: { disk: NonNullable<Vitals['disk']> }) => (
  <Fact name="Disk">
    {formatMiB(disk.freeMiB)} free of {formatMiB(disk.totalMiB)}
    {disk.readOnly && <span class="ink-bad">, read-only</span>}
  </Fact>
)

const WORN_PERCENT = 80

const Card = ({ card }: { card: NonNullable<Vitals['card']> }) => (
  <Fact name="Card">
    {card.name}
    {card.lifeUsedPercent !== undefined && (
      <span class={card.lifeUsedPercent >= WORN_PERCENT ? 'ink-bad' : ''}>
        , up to {card.lifeUsedPercent}&nbsp;% of its life used
      </span>
    )}
  </Fact>
)

/** Only what happened: a row of zeros says nothing. */
function hostWords({
  restarts,
  crashes,
  timeouts,
  recycled,
  poisoned,
  unloads,
  waitedForLoad,
}: Vitals['host']): string[] {
  const counts: readonly (readonly [number, string, string?])[] = [
    [restarts, 'restart'],
    [crashes, 'crash', 'crashes'],
    [timeouts, 'run stopped for taking too long', 'runs stopped for taking too long'],
    [recycled, 'renewal for growing too large', 'renewals for growing too large'],
    [poisoned, 'input refused for killing it twice', 'inputs refused for killing it twice'],
    [unloads, 'model unloaded for others', 'models unloaded for others'],
    [waitedForLoad, 'frame waited for its model', 'frames waited for their model'],
  ]
  return counts.filter(([count]) => count > 0).map(([count, one, many]) => plural(count, one, many))
}

const Processes = ({ host }: { host: Vitals['host'] }) => {
  const happened = hostWords(host)
  return (
    <Fact name="Model process">{happened.length === 0 ? 'no trouble since it started' : <Lines of={happened} />}</Fact>
  )
}

const Memory = ({ memory }: { memory: Vitals['memory'] }) => (
  <Fact name="Memory">
    {formatMiB(memory.freeMiB)} free of {formatMiB(memory.totalMiB)}
    {memory.swapUsedMiB !== undefined && memory.swapUsedMiB > 0 && `, ${formatMiB(memory.swapUsedMiB)} swapped`}
  </Fact>
)

const Physical = ({ vitals, energy }: { vitals: Vitals; energy: Energy | undefined }) => (
  <dl class="facts">
    {vitals.temperatures.length > 0 && (
      <Fact name="Temperature">
        <Lines of={vitals.temperatures.map(({ zone, c }) => `${formatTemperature(c)} ${zone}`)} />
      </Fact>
    )}
    {vitals.power && <Supply power={vitals.power} />}
    {vitals.rails && (
      <Fact name="Draws">
        <Lines of={vitals.rails.map(({ rail, w }) => `${formatWatts(w)} ${rail}`)} />
      </Fact>
    )}
    {energy && <Fact name="Energy">{energyWords(energy)}</Fact>}
    <Processes host={vitals.host} />
  </dl>
)

const System = ({ vitals }: { vitals: Vitals }) => (
  <dl class="facts">
    <Memory memory={vitals.memory} />
    {vitals.disk && <Disk disk={vitals.disk} />}
    {vitals.card && <Card card={vitals.card} />}
    {vitals.network && (
      <Fact name="Network">
        <Lines of={vitals.network.map(interfaceWords)} />
      </Fact>
    )}
    {vitals.clockSkewMs !== undefined && <Skew ms={vitals.clockSkewMs} />}
    {vitals.load1 !== undefined && <Fact name="Load">{formatRate(vitals.load1)} in the last minute</Fact>}
    {vitals.boardUpS !== undefined && <Fact name="Booted">{formatSpan(vitals.boardUpS * 1000)} ago</Fact>}
  </dl>
)

export const Condition = ({ vitals, energy }: { vitals: Vitals; energy: Energy | undefined }) => (
  <section class="card" aria-label="Condition">
    <h2 class="section-title">
      Condition{' '}
      <small class="muted">
        told <Moment at={byConsole(vitals.at, vitals.clockSkewMs)} />
      </small>
    </h2>
    <div class="condition">
      <Physical vitals={vitals} energy={energy} />
      <System vitals={vitals} />
    </div>
  </section>
)
