// What a board is, as it told it at its birth, and what it told last.
import type { Device, DeviceDetail } from '../../routes/shapes.ts'
import { formatCount, formatMiB, formatTemperature, plural } from '../quantities.ts'
import { formatSpan } from '../times.ts'
import { CHOSEN_WORDS, dropWords, idleWords } from '../words.ts'
import { Fact } from './fact.tsx'
import { BoardModels } from './supply.tsx'
import { Moment } from './words.tsx'

type Info = NonNullable<DeviceDetail['info']>

/** A fall-back to the CPU is said plainly: a GPU that does nothing is otherwise found out by its bill. */
const Provider = ({ runtime, provider }: Pick<Info, 'runtime' | 'provider'>) => {
  const [first] = provider?.wanted ?? []
  const differs = provider !== undefined && first !== undefined && first !== provider.used
  return (
    <Fact name="Runtime">
      ONNX Runtime {runtime.ort} on {provider?.used ?? runtime.provider}
      {(differs || provider?.reason) && (
        <span class="ink-warn">
          {differs && `, not on ${first} as wanted`}
          {provider?.reason && `: ${provider.reason}`}
        </span>
      )}
    </Fact>
  )
}

const Born = ({ info }: { info: Info }) => (
  <>
    <Fact name="Board">{info.board.model}</Fact>
    <Fact name="Processor">
      {info.board.arch}, {plural(info.board.cpus, 'core')}, {formatMiB(info.board.memMiB)}
    </Fact>
    <Provider runtime={info.runtime} provider={info.provider} />
    {info.hosts && (
      <Fact name="Cores">
        {plural(info.hosts.processes, 'process', 'processes')} × {plural(info.hosts.threads, 'thread')}, chosen{' '}
        {CHOSEN_WORDS[info.hosts.chosenBy]}
      </Fact>
    )}
    <Fact name="Kernels">
      {info.runtime.cpu}
      {info.runtime.flags.length > 0 && `, ${info.runtime.flags.join(', ')}`}
    </Fact>
    <Fact name="Decoder">{info.runtime.decoder}</Fact>
    <Fact name="Agent">{info.version}</Fact>
    <Fact name="Limits">
      {formatMiB(info.limits.payloadBytes / 1_048_576)} a frame, {plural(info.limits.queuedFrames, 'frame')} queued
    </Fact>
  </>
)

const Told = ({ heartbeat, device }: { heartbeat: NonNullable<DeviceDetail['heartbeat']>; device: Device }) => (
  <>
    {/* What a silent board told last is the past, and must not look like now. */}
    {device.state === 'offline' && device.clocks.heartbeatAt && (
      <Fact name="As told">
        <Moment at={device.clocks.heartbeatAt} />
      </Fact>
    )}
    <Fact name="Up for">{formatSpan(heartbeat.upS * 1000)}</Fact>
    <Fact name="Answered">
      {formatCount(heartbeat.answered)} of {formatCount(heartbeat.in)}
      {heartbeat.refused > 0 && `, ${formatCount(heartbeat.refused)} refused`}
    </Fact>
    <Fact name="Dropped">{dropWords(heartbeat.drops) || 'none'}</Fact>
    <Fact name="Outbox">
      {heartbeat.outbox === 0 ? 'empty, all acknowledged' : `${formatCount(heartbeat.outbox)} waiting for the console`}
    </Fact>
    <Fact name="Memory">
      {formatMiB(heartbeat.memMiB)} used, {formatMiB(heartbeat.freeMiB)} free
    </Fact>
    {heartbeat.tempC !== undefined && <Fact name="Temperature">{formatTemperature(heartbeat.tempC)}</Fact>}
  </>
)

export const DeviceFacts = ({ known: { device, info, heartbeat } }: { known: DeviceDetail }) => (
  <aside class="card device-facts" aria-label="Facts">
    <dl class="facts">
      <Fact name="Id">
        <code>{device.id}</code>
      </Fact>
      <Fact name="Owner">{device.owner.name}</Fact>
      {info && <Born info={info} />}
      {heartbeat && <Told heartbeat={heartbeat} device={device} />}
      {/* Answers that came since the heartbeat say more than it does. */}
      {device.state === 'idle' && heartbeat && <Fact name="Idle">{idleWords(heartbeat)}</Fact>}
    </dl>
    <BoardModels device={device.id} info={info} />
  </aside>
)
