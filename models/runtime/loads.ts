// Which models the inference process holds: loaded on demand, loaded again into every new process.
import type { Logger } from 'pino'
import { type ModelPackage, nameOf } from '../catalog.ts'
import type { Order, Reply } from './messages.ts'
import type { LoadableModel } from './model.ts'
import type { Job } from './queue.ts'

type WithoutId<T> = T extends { id: number } ? Omit<T, 'id'> : never
export type MakeJob = (order: WithoutId<Order>, limitMs: number, replied: Job['replied'], ended: Job['ended']) => Job

/** Jobs with ids of their own. */
export function createJobs(): MakeJob {
  let nextId = 1
  return (order, limitMs, replied, ended) => ({ order: { ...order, id: nextId++ }, limitMs, replied, ended })
}

interface LoadsDeps {
  readonly add: (job: Job) => void
  readonly job: MakeJob
  readonly limitMs: number
  readonly log: Logger
}

export interface Loads {
  /** Rejects with the reason as message. */
  load(pkg: ModelPackage): Promise<void>
  /** By `id` (every version) or `id@version`. */
  unload(idOrName: string): Promise<void>
  /** For a new process. A model that does not load again is forgotten: its runs answer `unknown-model`. */
  reloads(): Job[]
}

const loadable = ({ manifest, file, sha256, labels }: ModelPackage): LoadableModel => ({
  manifest,
  file,
  sha256,
  labels,
})

export function createLoads({ add, job, limitMs, log }: LoadsDeps): Loads {
  const loaded = new Map<string, LoadableModel>()

  function reload(key: string, model: LoadableModel): Job {
    const failed = (reason: string) => {
      loaded.delete(key)
      log.error({ model: key, reason }, 'a model did not load again')
    }
    const replied = (reply: Reply) => void (reply.type === 'load-failed' && failed(reply.message))
    return job({ type: 'load', key, model }, limitMs, replied, ({ message }) => failed(message))
  }

  function unloadOne(key: string): Promise<void> {
    loaded.delete(key)
    return new Promise((resolve) => {
      const done = () => resolve()
      add(job({ type: 'unload', key }, limitMs, done, done))
    })
  }

  return {
    load(pkg) {
      const [key, model] = [nameOf(pkg), loadable(pkg)]
      return new Promise((resolve, reject) => {
        const replied = (reply: Reply) => {
          if (reply.type === 'load-failed') return reject(new Error(reply.message))
          loaded.set(key, model)
          return resolve()
        }
        add(job({ type: 'load', key, model }, limitMs, replied, ({ message }) => reject(new Error(message))))
      })
    },
    async unload(idOrName) {
      const keys = [...loaded.keys()].filter((key) => key === idOrName || key.startsWith(`${idOrName}@`))
      await Promise.all(keys.map(unloadOne))
    },
    reloads: () => [...loaded].map(([key, model]) => reload(key, model)),
  }
}
