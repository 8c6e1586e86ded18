// The plan by itself: whatever the board finds, following it step by step ends, and ends well.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Current,
  FROM_FOLDER,
  type Known,
  type Last,
  plan,
  type Step,
  type Target,
} from '../../agent/packages/plan.ts'

const RELEASES = ['a1', 'a2', 'a3', 'b1', 'b2', 'c1'] as const
const BYTES = 10
const idOf = (release: string): string => release.slice(0, 1)
const file = { path: 'model.json', sha256: '0'.repeat(64), bytes: BYTES }

const known: fc.Arbitrary<Known> = fc
  .record({
    stage: fc.constantFrom<Known['stage'][]>('none', 'staged', 'checked', 'placed'),
    isWhole: fc.boolean(),
    proven: fc.boolean(),
    isRefused: fc.boolean(),
  })
  .map(({ stage, isWhole, proven, isRefused }) => ({
    stage,
    missing: stage === 'staged' && !isWhole ? [file] : [],
    bytes: stage === 'none' ? 0 : BYTES,
    proven,
    ...(isRefused && { refused: 'so it is' }),
  }))

const currents: fc.Arbitrary<Current> = fc
  .record({
    releases: fc.dictionary(fc.constantFrom(...RELEASES), known).map((all) => new Map(Object.entries(all))),
    folder: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd')).map((ids) => new Set(ids)),
    served: fc.uniqueArray(fc.constantFrom(...RELEASES), { selector: idOf }),
    last: fc.uniqueArray(fc.constantFrom(...RELEASES), { selector: idOf }),
    held: fc.uniqueArray(fc.constantFrom(...RELEASES), { maxLength: 1 }).map((all) => new Set<string>(all)),
    recent: fc.shuffledSubarray([...RELEASES]),
    quotaBytes: fc.integer({ min: 0, max: 80 }),
  })
  .map(({ served, last, ...rest }) => ({
    ...rest,
    // Only what is placed can be served.
    served: new Map(
      served
        .filter((release) => rest.releases.get(release)?.stage === 'placed')
        .map((release) => [idOf(release), release]),
    ),
    last: new Map<string, Last>(last.map((release) => [idOf(release), { release }])),
  }))

const targets: fc.Arbitrary<Target> = fc.oneof(
  fc.constant('folder' as const),
  fc
    .uniqueArray(fc.constantFrom(...RELEASES), { selector: idOf })
    .map((all) => all.map((release) => ({ id: idOf(release), version: '1.0.0', release }))),
)

const isWanted = ({ folder }: Current, target: Target, id: string): boolean =>
  folder.has(id) || (target !== 'folder' && target.some((one) => one.id === id))

/** What the board finds after the step was done. */
function after(current: Current, step: Step, target: Target): Current {
  const [served, last, releases, held] = [
    new Map(current.served),
    new Map(current.last),
    new Map(current.releases),
    new Set(current.held),
  ]
  const change = (release: string, by: Partial<Known>): void => {
    const empty: Known = { stage: 'none', missing: [], bytes: BYTES, proven: false }
    releases.set(release, { ...(releases.get(release) ?? empty), ...by })
  }
  switch (step.do) {
    case 'retire':
      served.delete(step.id)
      if (!isWanted(current, target, step.id)) last.delete(step.id)
      break
    case 'activate': {
      served.set(step.id, step.release)
      const before = last.get(step.id)
      if (before?.release !== step.release)
        last.set(step.id, { release: step.release, ...(before && { previous: before.release }) })
      break
    }
    case 'activate-folder':
      served.set(step.id, FROM_FOLDER)
      break
    case 'prove':
      change(step.release, { proven: true })
      break
    case 'place':
      change(step.release, { stage: 'placed' })
      break
    case 'check':
      change(step.release, { stage: 'checked' })
      break
    case 'evict':
      releases.delete(step.release)
      break
    case 'postpone':
      held.add(step.release)
      break
    case 'fetch-release':
      change(step.release, { stage: 'staged', missing: [file], bytes: BYTES })
      break
    case 'fetch-file':
      change(step.release, { missing: [] })
      break
  }
  return { ...current, served, last, releases, held }
}

const isUsable = ({ releases, held }: Current, release: string): boolean =>
  releases.get(release)?.refused === undefined && !held.has(release)

/** Follows the plan to its end; every state on the way is seen. */
function follow(from: Current, target: Target, see: (current: Current, step: Step) => void): Current {
  let current = from
  for (let steps = 0; steps < 100; steps += 1) {
    const [step] = plan(current, target)
    if (!step) return current
    see(current, step)
    current = after(current, step, target)
  }
  throw new Error('no end')
}

test('following it ends, and everything wanted that can be served is served', () => {
  fc.assert(
    fc.property(currents, targets, (current, target) => {
      const end = follow(current, target, () => {})
      if (target === 'folder') expect(end.served).toEqual(new Map([...end.folder].map((id) => [id, FROM_FOLDER])))
      else {
        const ids = new Set(target.map(({ id }) => id))
        const others = [...end.served].filter(([id]) => !ids.has(id))
        const own = [...end.folder].filter((id) => !ids.has(id)).map((id) => [id, FROM_FOLDER])
        expect(new Map(others)).toEqual(new Map(own as [string, string][]))
        for (const { id, release } of target) if (isUsable(end, release)) expect(end.served.get(id)).toBe(release)
      }
    }),
  )
})

test('nothing is remembered of an id that nobody wants any more, whatever was served of it when', () => {
  fc.assert(
    fc.property(currents, targets, (current, target) => {
      const end = follow(current, target, () => {})
      expect([...end.last.keys()].filter((id) => !isWanted(end, target, id))).toEqual([])
    }),
  )
})

test('a refused release is never served, proven, placed or fetched', () => {
  fc.assert(
    fc.property(currents, targets, (current, target) => {
      follow(current, target, (now, step) => {
        if (!('release' in step) || step.do === 'evict') return
        expect(now.releases.get(step.release)?.refused).toBeUndefined()
      })
    }),
  )
})

test('nothing is activated that was not placed and proven', () => {
  fc.assert(
    fc.property(currents, targets, (current, target) => {
      follow(current, target, ({ releases }, step) => {
        if (step.do === 'activate') expect(releases.get(step.release)).toMatchObject({ stage: 'placed', proven: true })
      })
    }),
  )
})

test('the served and the last versions are never given up while they can serve, nor is anything while there is room', () => {
  fc.assert(
    fc.property(currents, targets, (current, target) => {
      follow(current, target, (now, step) => {
        if (step.do !== 'evict' || now.releases.get(step.release)?.stage !== 'placed') return
        expect([...now.served.values()]).not.toContain(step.release)
        expect([...now.last.values()].flatMap(({ release, previous }) => [release, previous])).not.toContain(
          step.release,
        )
        const bytes = [...now.releases.values()].reduce((sum, one) => sum + (one.stage === 'none' ? 0 : one.bytes), 0)
        expect(bytes).toBeGreaterThan(now.quotaBytes)
      })
    }),
  )
})

const onDisk = ({ stage, bytes, missing }: Known): number =>
  stage === 'none' ? 0 : bytes - missing.reduce((sum, one) => sum + one.bytes, 0)

test('no file is fetched that would take the packages on disk over the quota', () => {
  fc.assert(
    fc.property(currents, targets, (current, target) => {
      follow(current, target, (now, step) => {
        if (step.do !== 'fetch-file') return
        const all = [...after(now, step, target).releases.values()]
        expect(all.reduce((sum, one) => sum + onDisk(one), 0)).toBeLessThanOrEqual(now.quotaBytes)
      })
    }),
  )
})

test('of two that are wanted and do not fit together, the first one is fetched', () => {
  const both = ['a1', 'b1'].map((release) => ({ id: idOf(release), version: '1.0.0', release }))
  const nothing: Current = {
    served: new Map(),
    releases: new Map(),
    last: new Map(),
    folder: new Set(),
    held: new Set(),
    recent: [],
    quotaBytes: 1.5 * BYTES,
  }
  const end = follow(nothing, both, () => {})
  expect(end.served).toEqual(new Map([['a', 'a1']]))
  expect(end.held).toEqual(new Set(['b1']))
})

test('an id that was served stays served as long as something usable is there', () => {
  fc.assert(
    fc.property(currents, targets, (current, target) => {
      const end = follow(current, target, () => {})
      if (target === 'folder') return
      for (const { id } of target) {
        const before = current.served.get(id)
        if (before !== undefined && isUsable(current, before)) expect(end.served.has(id)).toBe(true)
        if (end.folder.has(id)) expect(end.served.has(id)).toBe(true)
      }
    }),
  )
})
