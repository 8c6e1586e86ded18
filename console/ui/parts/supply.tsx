// The models of a board: those it serves, those on their way to it, and what it wants its owner to know of the past.
import type { DeviceDetail } from '../../routes/shapes.ts'
import { PACKAGE_WORDS } from '../words.ts'
import { BesideFp32 } from './beside-fp32.tsx'
import { Retry } from './retry.tsx'
import { Digest, Pill } from './words.tsx'

type Info = NonNullable<DeviceDetail['info']>
type Package = NonNullable<Info['packages']>[number]

const OnItsWay = ({ device, one: { id, version, state, percent, reason } }: { device: string; one: Package }) => (
  <li>
    <strong>{id}</strong> <span class="muted">v{version}</span> <Pill {...PACKAGE_WORDS[state]} />
    {percent !== undefined && state === 'downloading' && (
      <progress max={100} value={percent} aria-label={`Download of ${id}`} />
    )}
    {reason && <small class="muted">{reason}</small>}
    {state === 'refused' && <Retry device={device} what={`${id}@${version}`} />}
  </li>
)

export const Notices = ({ notices = [] }: { notices?: readonly string[] | undefined }) =>
  notices.length === 0 ? null : (
    <ul class="card notices" aria-label="Notices">
      {notices.map((notice) => (
        <li key={notice}>{notice}</li>
      ))}
    </ul>
  )

const Served = ({ models }: { models: Info['models'] }) => (
  <ul class="models">
    {models.map(({ id, version, digest, task, besideFp32 }) => (
      <li key={id}>
        <strong>{id}</strong> <span class="muted">v{version}</span>
        <small class="muted">
          {task} <Digest text={digest} keep={6} />
        </small>
        <BesideFp32 found={besideFp32} />
      </li>
    ))}
  </ul>
)

export const BoardModels = ({ device, info }: { device: string; info: Info | undefined }) => (
  <>
    <h2 class="facts-title">Models</h2>
    {info && info.models.length > 0 ? (
      <Served models={info.models} />
    ) : (
      <p class="muted">
        {info
          ? 'It serves none of its models.'
          : 'The board has not said which models it has: it tells when it first connects.'}
      </p>
    )}
    {info?.packages && info.packages.length > 0 && (
      <>
        <h2 class="facts-title">On their way</h2>
        <ul class="models">
          {info.packages.map((one) => (
            <OnItsWay key={`${one.id}@${one.version}`} device={device} one={one} />
          ))}
        </ul>
      </>
    )}
  </>
)
