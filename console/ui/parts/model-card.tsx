// One model: what it is, how far its version has spread, its versions, its boards, and the way back.
import { useSignal } from '@preact/signals'
import type { ModelPlace, ModelView } from '../../routes/shapes.ts'
import { plural } from '../quantities.ts'
import { api, loadModels } from '../session.ts'
import { BesideFp32 } from './beside-fp32.tsx'
import { Confirm } from './confirm.tsx'
import { ModelVersions } from './model-versions.tsx'
import { Places } from './places.tsx'
import { Spread } from './spread.tsx'
import { Amount } from './words.tsx'

/** What the operator is about to do. */
type Intent =
  | { readonly kind: 'serve'; readonly version: string }
  | { readonly kind: 'back'; readonly version: string | null }
  | { readonly kind: 'unpin'; readonly place: ModelPlace }

const TITLES = { serve: 'Serve this version?', back: 'Roll back?', unpin: 'As the rest of the fleet?' } as const
const ACTIONS = { serve: 'Tell the boards', back: 'Roll back', unpin: 'Unpin' } as const

const named = (version: string | null | undefined): string => version ?? 'what boards have in their own folders'

const Where = ({ model, onInput }: { model: ModelView; onInput: (device: string) => void }) => (
  <label class="field">
    <span>Where</span>
    <select onInput={(event) => onInput(event.currentTarget.value)}>
      <option value="">On every board</option>
      {model.places.map(({ device }) => (
        <option key={device.id} value={device.id}>
          Only on {device.name}
        </option>
      ))}
    </select>
  </label>
)

const Explanation = ({ model, intent }: { model: ModelView; intent: Intent }) => {
  switch (intent.kind) {
    case 'serve':
      return (
        <p>
          Boards download {model.id} {intent.version}, check it, and run its golden frames. Only where they come out
          right it replaces {named(model.desired?.version)}; until then the old version goes on.
        </p>
      )
    case 'back':
      return (
        <p>
          {model.id} goes from {named(model.desired?.version)} back to {named(intent.version)} on every board that has
          no version of its own.
        </p>
      )
    case 'unpin':
      return (
        <p>
          {intent.place.device.name} is pinned to {intent.place.wants}. Unpinned, it serves{' '}
          {named(model.desired?.version)}.
        </p>
      )
  }
}

function Question({ model, intent, onClose }: { model: ModelView; intent: Intent; onClose: () => void }) {
  const device = useSignal('')
  const act = async () => {
    const outcome = await (intent.kind === 'serve'
      ? api.desire(model.id, intent.version, device.value || undefined)
      : intent.kind === 'back'
        ? api.rollBack(model.id)
        : api.desire(model.id, null, intent.place.device.id))
    if (outcome.ok) loadModels()
    return outcome
  }
  return (
    <Confirm title={TITLES[intent.kind]} action={ACTIONS[intent.kind]} onConfirm={act} onClose={onClose}>
      <Explanation model={model} intent={intent} />
      {intent.kind === 'serve' && (
        <Where
          model={model}
          onInput={(id) => {
            device.value = id
          }}
        />
      )}
    </Confirm>
  )
}

const Head = ({ model, onBack }: { model: ModelView; onBack: (version: string | null) => void }) => (
  <div class="card-head">
    <div>
      <h2 id={`model-${model.id}`}>{model.title}</h2>
      <p class="muted">
        <code>{model.id}</code> · {model.task} · <Amount units={model.price} /> per answer
      </p>
    </div>
    {model.before && (
      <button type="button" class="button" onClick={() => onBack(model.before?.version ?? null)}>
        {model.before.version === null ? 'Back to the boards’ own…' : `Roll back to ${model.before.version}…`}
        <span class="unseen"> {model.id}</span>
      </button>
    )}
  </div>
)

export function ModelCard({ model }: { model: ModelView }) {
  const intent = useSignal<Intent | undefined>(undefined)
  const ask = (next: Intent | undefined) => {
    intent.value = next
  }
  return (
    <section class="card model" aria-labelledby={`model-${model.id}`}>
      <Head model={model} onBack={(version) => ask({ kind: 'back', version })} />
      <p class={model.places.some(({ state }) => state === 'refused') ? 'ink-bad' : undefined} role="status">
        {model.sentence}
      </p>
      {model.places.map(({ device, besideFp32 }) => (
        <BesideFp32 key={device.id} found={besideFp32} on={device.name} />
      ))}
      <Spread places={model.places} />
      <ModelVersions model={model} onChoose={(version) => ask({ kind: 'serve', version })} />
      <details class="json">
        <summary>{plural(model.places.length, 'board')}</summary>
        <Places places={model.places} onUnpin={(place) => ask({ kind: 'unpin', place })} />
      </details>
      {intent.value && <Question model={model} intent={intent.value} onClose={() => ask(undefined)} />}
    </section>
  )
}
