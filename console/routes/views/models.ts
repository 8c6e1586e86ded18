// Model packages as the page shows them, with their price and the boards that serve them now.
import type { Catalog } from '../../../models/catalog.ts'
import type { Board } from '../../fleet/devices.ts'
import type { Presence } from '../../fleet/presence.ts'
import type { Prices } from '../../market/prices.ts'
import type { ModelView } from '../shapes.ts'

export interface ModelViewOptions {
  readonly catalog: Catalog
  readonly prices: Pick<Prices, 'of'>
  readonly boards: () => readonly Board[]
  readonly presenceOf: (board: Board) => Presence
}

export function createModelViews({ catalog, prices, boards, presenceOf }: ModelViewOptions) {
  const serving = (id: string): number =>
    boards().filter((board) => {
      const { state } = presenceOf(board)
      return (state === 'working' || state === 'idle') && board.info?.models.some((model) => model.id === id)
    }).length

  return async (): Promise<ModelView[]> =>
    catalog.list().map(({ manifest, sha256, bytes }) => ({
      id: manifest.id,
      version: manifest.version,
      title: manifest.title,
      task: manifest.task,
      sha256,
      bytes,
      licence: manifest.licence.weights,
      price: String(prices.of(manifest.id)?.units ?? 0n),
      boards: serving(manifest.id),
    }))
}
