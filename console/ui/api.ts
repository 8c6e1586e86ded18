// The console's HTTP API as typed calls. Every call answers an outcome: the page says what went wrong, it never throws.
import { type ClientResponse, hc, type InferResponseType } from 'hono/client'
import type { AppType } from '../app.ts'
import type { SoftwareView } from '../routes/shapes.ts'

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  /** `status` 0: the console could not be reached. */
  | { readonly ok: false; readonly status: number; readonly message: string }

export interface ApiOptions {
  readonly bearer: () => string | undefined
  readonly fetch: typeof fetch
  /** Told the console's clock (its Date header), so that ages are right on a computer whose own clock is not. */
  readonly onClock: (consoleMs: number) => void
  /** This token is not, or no longer, good. */
  readonly onRefused: (token: string | undefined) => void
}

type Client = ReturnType<typeof hc<AppType>>['api']
export type DesiredChange = InferResponseType<Client['fleet']['desired']['$put'], 200>
export type PayoutDetail = InferResponseType<Client['payouts'][':id']['$get'], 200>
export type EpochDetail = InferResponseType<Client['rewards']['epochs'][':id']['$get'], 200>
export type Settlement = InferResponseType<Client['payouts']['$post'], 200>
export type Enrollment = InferResponseType<Client['enrollments']['$post'], 201>
export type Transaction = InferResponseType<Client['chain']['transactions'][':signature']['$get'], 200>
export type Requesters = InferResponseType<Client['requesters']['$get'], 200>
export type WalletChanges = InferResponseType<Client['wallets']['changes']['$get'], 200>
export type EnrollmentOptions = Parameters<Client['enrollments']['$post']>[0]['json']

/** Of an epoch: enough to see what it is made of; the API gives them all. */
const SHOWN_RECEIPTS = 25
const NO_CONTENT = 204
const UNREACHABLE = 'The console cannot be reached.'

async function messageOf(response: Pick<Response, 'json' | 'status'>): Promise<string> {
  try {
    const body = (await response.json()) as { error?: { message?: string } }
    return body.error?.message ?? `The console answered ${response.status}.`
  } catch {
    return `The console answered ${response.status}.`
  }
}

export function createApi({ bearer, fetch, onClock, onRefused }: ApiOptions) {
  const authorization = (): Record<string, string> => ({ authorization: `Bearer ${bearer() ?? ''}` })
  const { api } = hc<AppType>('/', { fetch, headers: authorization })

  const answer = async <T>(call: () => Promise<ClientResponse<unknown>>): Promise<Outcome<T>> => {
    const asked = bearer()
    try {
      const response = await call()
      const date = Date.parse(response.headers.get('date') ?? '')
      if (!Number.isNaN(date)) onClock(date)
      if (response.status === 401) onRefused(asked)
      if (!response.ok) return { ok: false, status: response.status, message: await messageOf(response) }
      return { ok: true, value: (response.status === NO_CONTENT ? undefined : await response.json()) as T }
    } catch {
      return { ok: false, status: 0, message: UNREACHABLE }
    }
  }

  return {
    overview: () => answer<InferResponseType<typeof api.overview.$get, 200>>(() => api.overview.$get()),
    devices: () => answer<InferResponseType<typeof api.devices.$get, 200>>(() => api.devices.$get()),
    device: (id: string) =>
      answer<InferResponseType<(typeof api.devices)[':id']['$get'], 200>>(() =>
        api.devices[':id'].$get({ param: { id } }),
      ),
    removeDevice: (id: string) => answer<unknown>(() => api.devices[':id'].$delete({ param: { id } })),
    /** Stays until the board has answered, or for ten seconds. */
    command: (id: string, name: string, args: Readonly<Record<string, unknown>>) =>
      answer<InferResponseType<(typeof api.devices)[':id']['commands'][':name']['$post'], 200>>(() =>
        api.devices[':id'].commands[':name'].$post({ param: { id, name }, json: { args } }),
      ),
    tasks: (limit: number) =>
      answer<InferResponseType<typeof api.tasks.$get, 200>>(() => api.tasks.$get({ query: { limit: String(limit) } })),
    task: (id: string) =>
      answer<InferResponseType<(typeof api.tasks)[':id']['$get'], 200>>(() => api.tasks[':id'].$get({ param: { id } })),
    models: () => answer<InferResponseType<typeof api.models.$get, 200>>(() => api.models.$get()),
    /** `device` undefined: the fleet; `version` null: no opinion. */
    desire: (model: string, version: string | null, device?: string) =>
      answer<DesiredChange>(() => {
        const json = { model, version }
        return device === undefined
          ? api.fleet.desired.$put({ json })
          : api.devices[':id'].desired.$put({ param: { id: device }, json })
      }),
    software: () => answer<SoftwareView>(() => api.software.$get()),
    rollOut: (version: string) => answer<object>(() => api.software.rollouts.$post({ json: { version } })),
    stopRollout: () => answer<object>(() => api.software.rollouts.stop.$post()),
    resumeRollout: () => answer<object>(() => api.software.rollouts.resume.$post()),
    rollBackSoftware: () => answer<object>(() => api.software.rollouts.rollback.$post()),
    rollBack: (model: string) => answer<DesiredChange>(() => api.fleet.desired.rollback.$post({ json: { model } })),
    rewards: () => answer<InferResponseType<typeof api.rewards.$get, 200>>(() => api.rewards.$get()),
    epoch: (id: number) =>
      answer<EpochDetail>(() =>
        api.rewards.epochs[':id'].$get({ param: { id: String(id) }, query: { limit: String(SHOWN_RECEIPTS) } }),
      ),
    payout: (id: string) =>
      answer<PayoutDetail>(() => api.payouts[':id'].$get({ param: { id: encodeURIComponent(id) } })),
    settle: () => answer<Settlement>(() => api.payouts.$post()),
    checkLedger: () => answer<InferResponseType<typeof api.ledger.check.$get, 200>>(() => api.ledger.check.$get()),
    transaction: (signature: string) =>
      answer<Transaction>(() => api.chain.transactions[':signature'].$get({ param: { signature } })),
    requesters: () => answer<Requesters>(() => api.requesters.$get()),
    addRequester: (json: { id: string; name?: string }) =>
      answer<InferResponseType<Client['requesters']['$post'], 201>>(() => api.requesters.$post({ json })),
    openDeposit: (id: string) =>
      answer<Requesters[number]>(() => api.requesters[':id'].deposit.$post({ param: { id } })),
    walletChanges: () => answer<WalletChanges>(() => api.wallets.changes.$get()),
    cancelWalletChange: (id: number) =>
      answer<object>(() => api.wallets.changes[':id'].$delete({ param: { id: String(id) } })),
    enroll: (json: EnrollmentOptions) => answer<Enrollment>(() => api.enrollments.$post({ json })),
    /** The frame of a task as it was sent; undefined once the console no longer keeps it. */
    frame: async (id: string): Promise<Blob | undefined> => {
      const response = await fetch(`/api/tasks/${encodeURIComponent(id)}/frame`, { headers: authorization() })
      return response.ok ? response.blob() : undefined
    },
    /** A file behind the bearer token; its reason in words where there is none. */
    file: async (path: string): Promise<Outcome<Blob>> => {
      try {
        const response = await fetch(path, { headers: authorization() })
        if (response.ok) return { ok: true, value: await response.blob() }
        return { ok: false, status: response.status, message: await messageOf(response) }
      } catch {
        return { ok: false, status: 0, message: UNREACHABLE }
      }
    },
    openEvents: (signal: AbortSignal): Promise<Response> =>
      fetch('/api/events', { headers: { ...authorization(), accept: 'text/event-stream' }, signal }),
  }
}
export type Api = ReturnType<typeof createApi>
