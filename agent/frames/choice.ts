// What goes next. Among the sources that are less than a leash ahead of the one that has had least (turns.ts: measured
// milliseconds of the host), what is due earliest: while the board keeps up that is earliest deadline first, as if there
// were no sources, and beyond that it is an even share for each.
//
// What cannot be done before its deadline any more waits until nothing else does: a run that ends too late helps nobody, and
// might have been somebody's run in time. If the turn is a frame's, it goes to the freshest frame of a stream that has had
// at most eight runs more: live pictures are answered while they are live, and every stream has its turn.
//
// With n the most sources that wait at one time and those of the known ones that come back meanwhile, C the longest run and
// B = leash + 2 C: whatever is due first of its source, and can still be met, goes before the host has worked
// n × 3 × (B + C) milliseconds for others, however much they send and however often they change their names; and of two
// sources that both wait all the while none gets more than 2 × (B + C) beyond the other.
import { canBeDone, type Line, type Place, type Waiting } from './line.ts'
import { earlier } from './sorted.ts'
import { type Account, LEASH_MS, type Turns } from './turns.ts'

/** What one source has waiting, by model. */
export interface Source<W extends Waiting> extends Account {
  readonly lines: Map<string, Line<W>>
}

export interface Choice<W extends Waiting> {
  readonly source: Source<W>
  readonly line: Line<W>
  readonly place: Place<W>
  readonly dueAt: number
}

type PutForward<W extends Waiting> = (line: Line<W>, model: string) => Place<W> | undefined

const FRESHER_RUNS = 8

export function chooseNext<W extends Waiting>(
  { waiting }: Pick<Turns<Source<W>>, 'waiting'>,
  estimates: { cost(model: string): number; lead(model: string): number },
  now: number,
): Choice<W> | undefined {
  const doneBy = (model: string): number => now + Math.max(1, estimates.lead(model))
  const can = earliest(waiting, (line, model) => line.first(doneBy(model)))
  if (!can) return earliest(waiting, (line, model) => line.forlorn(now, doneBy(model)))
  if (can.place.item.kind === 'task') return can
  return freshest(waiting, can, can.source.at + FRESHER_RUNS * estimates.cost(can.place.item.model), doneBy)
}

function earliest<W extends Waiting>(
  waiting: ReadonlySet<Source<W>>,
  putForward: PutForward<W>,
): Choice<W> | undefined {
  const choices: Choice<W>[] = []
  // A source that puts nothing forward must not hold the others back.
  let poorest = Number.POSITIVE_INFINITY
  for (const source of waiting) {
    let own: Choice<W> | undefined
    for (const [model, line] of source.lines) {
      const place = putForward(line, model)
      if (place) own = earlier(own, { source, line, place, dueAt: place.dueAt })
    }
    if (!own) continue
    choices.push(own)
    if (source.at < poorest) poorest = source.at
  }
  let best: Choice<W> | undefined
  for (const choice of choices) if (choice.source.at <= poorest + LEASH_MS) best = earlier(best, choice)
  return best
}

function freshest<W extends Waiting>(
  waiting: ReadonlySet<Source<W>>,
  first: Choice<W>,
  upTo: number,
  doneBy: (model: string) => number,
): Choice<W> {
  let best = first
  for (const source of waiting) {
    if (source.at > upTo) continue
    for (const [model, line] of source.lines)
      for (const place of line.frames()) {
        const { item, dueAt } = place
        if (item.arrivedAt > best.place.item.arrivedAt && canBeDone(item, doneBy(model)))
          best = { source, line, place, dueAt }
      }
  }
  return best
}
