// A file to keep: the browser cannot fetch it by a plain link, because it stands behind the bearer token.
import { useSignal } from '@preact/signals'
import { api } from '../session.ts'

export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  URL.revokeObjectURL(url)
}

export function Download({ path, name, label }: { path: string; name: string; label: string }) {
  const problem = useSignal<string | undefined>(undefined)
  const fetchIt = async () => {
    const outcome = await api.file(path)
    problem.value = outcome.ok ? undefined : outcome.message
    if (outcome.ok) save(outcome.value, name)
  }
  return (
    <>
      <button type="button" class="button small" onClick={() => void fetchIt()}>
        {label}
      </button>
      {problem.value && (
        <small class="ink-bad" role="status">
          {problem.value}
        </small>
      )}
    </>
  )
}

export const Statement = ({ payee }: { payee: string }) => (
  <Download
    path={`/api/rewards/statements/${encodeURIComponent(payee)}?format=csv`}
    name={`${payee.replaceAll('/', '-')}.csv`}
    label="Statement"
  />
)
