// Which models the inference process holds: loaded on demand, loaded again into every new process.
import type { Logger } from 'pino'
import { type ModelPackage, nameOf } from '../catalog.ts'
import type { Loaded, Order, Reply } from './messages.ts'
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
  /** A new process does not hold it. */
  readonly onLost: (name: string) => void
}

export interface Loads {
  /** Rejects with the reason as message. */
  load(pkg: ModelPackage): Promise<Loaded>
  /** By `id@version`. */
  unload(name: string): Promise<void>
  /** For a new process. A model that does not load again is forgotten here, and said to be lost. */
  reloads(): Job[]
  /** The new process does not hold everything yet. */
  isReloading(): boolean
}

const DEADLY = 2

const loadable = ({ manifest, file, sha256, labels }: ModelPackage): LoadableModel => ({
  manifest,
  file,
  sha256,
  labels,
})

export function createLoads({ add, job, limitMs, log, onLost }: LoadsDeps): Loads {
  const loaded = new Map<string, LoadableModel>()

  /** A process may die over a load by chance; one that does so again does it because of the model. */
  const deaths = new Map<string, number>()
  const reloading = new Set<string>()

  function reload(key: string, model: LoadableModel): Job {
    reloading.add(key)
    const failed = (reason: string) => {
      loaded.delete(key)
      deaths.delete(key)
      log.error({ model: key, reason }, 'a model did not load again')
      onLost(key)
    }
    const replied = (reply: Reply) => {
      reloading.delete(key)
      if (reply.type === 'load-failed') failed(reply.message)
      else deaths.delete(key)
    }
    const ended: Job['ended'] = ({ message }) => {
      const count = (deaths.get(key) ?? 0) + 1
      if (count >= DEADLY) failed(message)
      else deaths.set(key, count)
    }
    return job({ type: 'load', key, model }, limitMs, replied, ended)
  }

  return {
    load(pkg) {
      const [key, model] = [nameOf(pkg), loadable(pkg)]
      return new Promise((resolve, reject) => {
        const replied = (reply: Reply) => {
          if (reply.type === 'load-failed') return reject(new Error(reply.message))
          loaded.set(key, model)
          return resolve(reply as Extract<Reply, { type: 'loaded' }>)
        }
        add(job({ type: 'load', key, model }, limitMs, replied, ({ message }) => reject(new Error(message))))
      })
    },
    unload(key) {
      loaded.delete(key)
      return new Promise((resolve) => {
        const done = () => resolve()
        add(job({ type: 'unload', key }, limitMs, done, done))
      })
    },
    reloads() {
      reloading.clear()
      return [...loaded].map(([key, model]) => reload(key, model))
    },
    isReloading: () => reloading.size > 0,
  }
}
