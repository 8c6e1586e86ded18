// What a board is, as it told it at its birth, and what it told last.
import type { ComponentChildren } from 'preact'
import type { DeviceDetail } from '../../routes/shapes.ts'
import { formatCount, formatMiB, formatTemperature, plural } from '../quantities.ts'
import { formatSpan } from '../times.ts'
import { dropWords, idleWords } from '../words.ts'
import { Digest } from './words.tsx'

const Fact = ({ name, children }: { name: string; children: ComponentChildren }) => (
  <>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </>
)

const Born = ({ info }: { info: NonNullable<DeviceDetail['info']> }) => (
  <>
    <Fact name="Board">{info.board.model}</Fact>
    <Fact name="Processor">
      {info.board.arch}, {plural(info.board.cpus, 'core')}, {formatMiB(info.board.memMiB)}
    </Fact>
    <Fact name="Runtime">
      ONNX Runtime {info.runtime.ort} on {info.runtime.provider}
    </Fact>
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

const Told = ({ heartbeat }: { heartbeat: NonNullable<DeviceDetail['heartbeat']> }) => (
  <>
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
      {heartbeat && <Told heartbeat={heartbeat} />}
      {/* Answers that came since the heartbeat say more than it does. */}
      {device.state === 'idle' && heartbeat?.idle && <Fact name="Idle">{idleWords(heartbeat.idle)}</Fact>}
    </dl>
    <h2 class="facts-title">Models</h2>
    {info && info.models.length > 0 ? (
      <ul class="models">
        {info.models.map(({ id, version, digest, task }) => (
          <li key={id}>
            <strong>{id}</strong> <span class="muted">v{version}</span>
            <small class="muted">
              {task} <Digest text={digest} keep={6} />
            </small>
          </li>
        ))}
      </ul>
    ) : (
      <p class="muted">The board has not said which models it has: it tells when it first connects.</p>
    )}
  </aside>
)
