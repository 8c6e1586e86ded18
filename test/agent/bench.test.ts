// `bramble-agent bench` as an owner runs it, short; and what `run` makes of it.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { waysOf } from '../../agent/bench/choosing.ts'
import { describeBench } from '../../agent/bench/telling.ts'
import { type BenchReport, runBench } from '../../agent/bench.ts'
import { keepChoice, thisMachine } from '../../agent/choice.ts'
import { readConfig } from '../../agent/config.ts'
import { openHost } from '../../agent/hosting.ts'
import { runAgent } from './board.ts'

let data: string
let report: BenchReport
let progress: string

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'bench-'))
  const agent = runAgent(['bench', '--data', data, '--serve', 'fashion', '--seconds', '0.2', '--json'])
  expect(await agent.exited).toBe(0)
  report = JSON.parse(agent.lines.join(''))
  progress = agent.errors()
})
afterAll(() => rmSync(data, { recursive: true }))

const silent = pino({ level: 'silent' })

async function coresOf(flags: Readonly<Record<string, string>> = {}) {
  const { host, cores } = openHost(readConfig({}, { data, ...flags }), silent)
  await host.close()
  return cores
}

describe('a bench', () => {
  test('measures every way of using the cores, and says each as it goes', () => {
    expect(report.measured.map(({ processes, threads }) => ({ processes, threads }))).toEqual(
      waysOf(availableParallelism()),
    )
    for (const { framesPerS, p50Ms, rssMiB } of report.measured) {
      expect(framesPerS).toBeGreaterThan(10)
      expect(p50Ms).toBeGreaterThan(0.1)
      expect(rssMiB).toBeGreaterThan(30)
    }
    expect(progress.match(/frames\/s, a lone frame/g)).toHaveLength(report.measured.length)
  })

  test('compares the quantized model with its fp32 sibling', () => {
    expect(report.comparisons).toEqual([
      expect.objectContaining({ model: expect.stringMatching(/^fashion@/), agree: 3, frames: 3 }),
    ])
    expect(report.comparisons[0]?.fp32Ms).toBeGreaterThan(0)
  })

  test('keeps its choice, and `run` uses it unless told otherwise', async () => {
    expect(report.measured).toContainEqual(expect.objectContaining(report.chosen))
    expect(JSON.parse(readFileSync(join(data, 'choice.json'), 'utf8'))).toMatchObject(report.chosen)
    expect(await coresOf()).toEqual({ ...report.chosen, chosenBy: 'bench' })
    expect(await coresOf({ threads: '1' })).toEqual({ processes: 1, threads: 1, chosenBy: 'config' })
    keepChoice(data, { ...report.chosen, comparisons: [] }, { ...thisMachine(), cpu: 'another CPU' }, 0)
    expect(await coresOf()).toMatchObject({ chosenBy: 'default' })
  })

  test('does not choose more processes than the memory for models allows', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bench-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    // Together they take between 20 and 30 MiB.
    const flags = { data: folder, serve: 'fashion,vibration-ae,silero-vad', 'models-mib': '40' }
    const small = await runBench({
      config: readConfig({}, flags),
      log: silent,
      seconds: 0.05,
      now: Date.now,
      elapsed: () => performance.now(),
      progress: () => {},
    })
    expect(new Set(small.measured.map(({ processes }) => processes))).toEqual(new Set([1]))
    expect(small.chosen.processes).toBe(1)
    expect(small.left).toContainEqual(expect.stringMatching(/^2 processes, .*--models-mib/))
  })

  test('is told as a table with the choice marked', () => {
    const text = describeBench(report)
    expect(text.match(/^→ fashion@/gm)).toHaveLength(1)
    expect(text).toMatch(/times as fast as fp32 .* the same answer on 3 of 3 frames/)
    expect(text).toMatch(/→ chosen and kept: \d process/)
    const [sibling] = report.comparisons
    if (!sibling) throw new Error('no comparison')
    expect(describeBench({ ...report, comparisons: [{ ...sibling, agree: 1 }] })).toContain('DIFFERENT ANSWERS')
    expect(describeBench({ ...report, comparisons: [{ ...sibling, quantizedMs: 2, fp32Ms: 1 }] })).toContain('SLOWER')
  })
})
