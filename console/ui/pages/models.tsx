// Models: what the fleet can run, in which versions, and which version the boards should serve.
import { Empty, Loading } from '../parts/empty.tsx'
import { ModelCard } from '../parts/model-card.tsx'
import { models } from '../state.ts'

export function ModelsPage() {
  const all = models.value
  if (!all) return <Loading what="the models" />
  return (
    <>
      <div class="page-head">
        <h1>Models</h1>
      </div>
      {all.length === 0 ? (
        <Empty title="There are no models here yet.">
          <p>
            Publish a package with <code>bramble models publish FOLDER --key FILE --publisher ID</code>; it appears here
            at once.
          </p>
        </Empty>
      ) : (
        all.map((model) => <ModelCard key={model.id} model={model} />)
      )}
    </>
  )
}
