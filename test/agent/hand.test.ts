import { expect, test } from 'vitest'
import { createHand } from '../../agent/frames/hand.ts'

function open(first = 2) {
  let working = first
  const hand = createHand<string>(() => working)
  return {
    hand,
    setProcesses(count: number) {
      working = count
    },
  }
}

test('a run is noted with the process that has fewest, of equals with the one that came to its own earliest', () => {
  const { hand } = open()
  expect(['a', 'b', 'c', 'd', 'e'].map((run, at) => hand.began(run, at))).toEqual([1, 1, 2, 2, 3])
  expect(hand.processes().map(({ runs }) => runs.map(({ run }) => run))).toEqual([
    ['a', 'c', 'e'],
    ['b', 'd'],
  ])
  expect([hand.size, hand.nextDepth(), hand.room]).toEqual([5, 3, 6])
  hand.ended('a', 10)
  hand.began('f', 11)
  expect(hand.processes().map(({ runs }) => runs.map(({ run }) => run))).toEqual([
    ['c', 'e'],
    ['b', 'd', 'f'],
  ])
})

test('what ended makes room in its process, and it is known how long that was at it', () => {
  const { hand } = open()
  for (const [at, run] of ['a', 'b', 'c'].entries()) hand.began(run, at)
  expect(hand.ended('a', 9)).toEqual({ depth: 1, tookMs: 9 })
  expect(hand.ended('b', 10)).toEqual({ depth: 1, tookMs: 9 })
  expect(hand.ended('c', 15)).toEqual({ depth: 2, tookMs: 6 })
  expect(hand.nextDepth()).toBe(1)
  expect(hand.ended('never begun', 11)).toBeUndefined()
})

test('a process that left keeps what it has, and gets nothing more', () => {
  const { hand, setProcesses } = open()
  for (const run of ['a', 'b']) hand.began(run, 0)
  setProcesses(1)
  expect(['c', 'd'].map((run) => hand.began(run, 1))).toEqual([2, 3])
  expect(hand.processes()).toHaveLength(2)
  hand.ended('b', 2)
  expect(hand.processes()).toHaveLength(1)
})

test('before any process serves there is room for one', () => {
  const { hand } = open(0)
  expect([hand.room, hand.began('a', 0)]).toEqual([3, 1])
})
