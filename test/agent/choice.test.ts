import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { bestOf, waysOf } from '../../agent/bench/choosing.ts'
import { chooseCores, defaultCores, keepChoice, readChoice, thisMachine } from '../../agent/choice.ts'

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'choice-'))
  onTestFinished(() => rmSync(made, { recursive: true }))
  return made
}
const NOW = Date.UTC(2026, 10, 23)

test('what was found is kept for this CPU and ONNX Runtime, and is stale for any other', () => {
  const data = folder()
  const machine = thisMachine()
  expect(readChoice(data, machine)).toBeUndefined()
  keepChoice(data, { processes: 2, threads: 1, comparisons: [] }, machine, NOW)
  expect(readChoice(data, machine)).toEqual({ processes: 2, threads: 1, comparisons: [] })
  expect(readChoice(data, { ...machine, ort: '9.9.9' })).toBe('stale')
  expect(readChoice(data, { ...machine, cpus: 99 })).toBe('stale')
  expect(readChoice(data, { ...machine, cpu: 'another' })).toBe('stale')
  writeFileSync(join(data, 'choice.json'), '{"processes": 0}')
  expect(readChoice(data, machine)).toBe('stale')
})

test('the owner decides before the measurement, and the measurement before the default', () => {
  const kept = { processes: 2, threads: 1, comparisons: [] }
  expect(chooseCores({}, undefined, 4)).toEqual({ ...defaultCores(4), chosenBy: 'default' })
  expect(chooseCores({}, kept, 4)).toEqual({ processes: 2, threads: 1, chosenBy: 'bench' })
  expect(chooseCores({ threads: 4 }, kept, 4)).toEqual({ processes: 1, threads: 4, chosenBy: 'config' })
  expect(chooseCores({ processes: 2 }, kept, 4)).toEqual({ processes: 2, threads: 3, chosenBy: 'config' })
})

test('a small board gets one process by default, one with memory to spare a second one', () => {
  expect(defaultCores(4, 430)).toEqual({ processes: 1, threads: 3 })
  expect(defaultCores(4, 3_800)).toEqual({ processes: 2, threads: 3 })
  expect(defaultCores(2, 3_800)).toEqual({ processes: 2, threads: 2 })
  expect(defaultCores(1, 3_800)).toEqual({ processes: 1, threads: 1 })
})

test('no way uses more threads or more processes than there are cores', () => {
  for (let cores = 1; cores <= 64; cores += 1)
    for (const { processes, threads } of [defaultCores(cores), ...waysOf(cores)]) {
      expect(threads).toBeLessThanOrEqual(cores)
      expect(processes).toBeLessThanOrEqual(cores)
    }
  expect(waysOf(2)).toHaveLength(4)
})

const row = (model: string, processes: number, threads: number, framesPerS: number, p50Ms = 1) => ({
  model,
  processes,
  threads,
  framesPerS,
  p50Ms,
  rssMiB: 100,
})

test('the most frames over all models win; a second process must be worth its memory', () => {
  expect(bestOf([row('m', 1, 1, 50), row('m', 1, 2, 80), row('m', 2, 1, 110)])).toEqual({ processes: 2, threads: 1 })
  expect(bestOf([row('m', 1, 1, 50), row('m', 1, 2, 80), row('m', 2, 1, 82)])).toEqual({ processes: 1, threads: 2 })
  expect(bestOf([row('m', 1, 1, 100), row('n', 1, 1, 10), row('m', 1, 2, 90), row('n', 1, 2, 15)])).toEqual({
    processes: 1,
    threads: 2,
  })
})

test('of two ways with nearly the same frames, the one with the quicker lone frame wins', () => {
  expect(bestOf([row('m', 2, 1, 238, 5.4), row('m', 2, 2, 228, 4.2)])).toEqual({ processes: 2, threads: 2 })
})

test('a way that could not run one of the models is not chosen', () => {
  expect(bestOf([row('m', 1, 1, 50), row('n', 1, 1, 50), row('m', 2, 2, 99)])).toEqual({ processes: 1, threads: 1 })
})
