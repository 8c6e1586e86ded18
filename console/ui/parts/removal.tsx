// A board that will not come back: taken from the lists, so that it is not missed for ever.
import { useSignal } from '@preact/signals'
import type { Device } from '../../routes/shapes.ts'
import { paths } from '../addresses.ts'
import { navigate } from '../router.ts'
import { api } from '../session.ts'
import { devices } from '../state.ts'
import { Confirm } from './confirm.tsx'

export function Removal({ device: { id, name, state } }: { device: Device }) {
  const asked = useSignal(false)
  if (state !== 'offline' && state !== 'new') return null
  const remove = async () => {
    const outcome = await api.removeDevice(id)
    if (outcome.ok) {
      devices.value = devices.value?.filter((device) => device.id !== id)
      navigate(paths.devices)
    }
    return outcome
  }
  return (
    <>
      <button type="button" class="button" onClick={() => (asked.value = true)}>
        Remove board…
      </button>
      {asked.value && (
        <Confirm
          title={`Remove ${name}?`}
          action="Remove"
          onConfirm={remove}
          onClose={() => {
            asked.value = false
          }}
        >
          <p>
            For a board that will not come back. What it earned stays its owner’s; receipts that it has not sent yet are
            not paid, unless it is enrolled again with its data folder.
          </p>
        </Confirm>
      )}
    </>
  )
}
