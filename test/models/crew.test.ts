// Which process a frame is given to, with processes whose runs end when the test says so.
import fc from 'fast-check'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createHand } from '../../agent/frames/hand.ts'
import type { ModelPackage } from '../../models/catalog.ts'
import { createCrew } from '../../models/runtime/crew.ts'
import type { RunOutcome } from '../../models/runtime/host.ts'
import type { Worker } from '../../models/runtime/worker.ts'

const DONE: RunOutcome = { ok: false, error: { code: 'model-failed', message: 'done' } }
const FRAME = { contentType: 'image/jpeg', data: new Uint8Array() } as const
const pkg = { sha256: 'a', manifest: { id: 'm', version: '1' } } as ModelPackage

async function open(processes: number) {
  const given: string[][] = []
  const ends = new Map<string, () => void>()
  const isReady: boolean[] = []
  const crew = createCrew({
    processes,
    hire(): Worker {
      const place = given.push([]) - 1
      isReady[place] = true
      return {
        load: async () => ({}) as Awaited<ReturnType<Worker['load']>>,
        unload: async () => {},
        run: (_, { data }) =>
          new Promise((resolve) => {
            const name = Buffer.from(data).toString()
            given[place]?.push(name)
            ends.set(name, () => resolve(DONE))
          }),
        isReady: () => isReady[place] ?? false,
        started: async () => {},
        stats: () => ({ restarts: 0, timeouts: 0, crashes: 0, recycled: 0, ready: true }),
        close: async () => {},
      }
    },
    quietly: async (work) => work([]),
    onNoStart() {},
    sleep: async () => {},
    log: pino({ level: 'silent' }),
  })
  await crew.load(pkg)
  while (crew.size() < processes) await Promise.resolve()
  const runs = new Map<string, Promise<RunOutcome>>()
  return {
    given,
    isReady,
    begin(name: string): void {
      runs.set(name, crew.run(pkg, { ...FRAME, data: Buffer.from(name) }))
    },
    async end(name: string): Promise<void> {
      ends.get(name)?.()
      await runs.get(name)
    },
  }
}

test('each goes to the process that has fewest, alone to the first', async () => {
  const { given, begin, end } = await open(2)
  begin('a')
  await end('a')
  begin('b')
  begin('c')
  begin('d')
  await end('c')
  begin('e')
  expect(given).toEqual([
    ['a', 'b', 'd'],
    ['c', 'e'],
  ])
})

test('of two that have as much to do, to the one that came to it earlier', async () => {
  const { given, begin, end } = await open(2)
  begin('a')
  begin('b')
  begin('c')
  await end('a')
  // The first process has just come to its next, the second one has been at its own since the start.
  begin('d')
  expect(given).toEqual([
    ['a', 'c'],
    ['b', 'd'],
  ])
})

test('one that takes nothing now is passed over', async () => {
  const { given, isReady, begin } = await open(2)
  isReady[0] = false
  begin('a')
  begin('b')
  expect(given).toEqual([[], ['a', 'b']])
})

test('the agent expects each where it goes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.nat(9), { maxLength: 60 }),
      async (processes, steps) => {
        const { given, begin, end } = await open(processes)
        const hand = createHand<string>(() => processes)
        const expected = Array.from({ length: processes }, (): string[] => [])
        for (const [n, step] of steps.entries()) {
          // A process answers in order: one of those that are first there can end.
          const firsts = hand.processes().flatMap(({ runs: [first] }) => first?.run ?? [])
          const ended = step < 5 ? firsts[step % firsts.length] : undefined
          if (ended !== undefined) {
            await end(ended)
            hand.ended(ended, performance.now())
            continue
          }
          const name = `${n}`
          hand.began(name, performance.now())
          begin(name)
          for (const [place, { runs }] of hand.processes().entries())
            if (runs.at(-1)?.run === name) expected[place]?.push(name)
        }
        expect(given).toEqual(expected)
      },
    ),
    { numRuns: 100 },
  )
})
