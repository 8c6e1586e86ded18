// Who is to blame when a process dies over several inputs: the work over a real host whose process really dies.
import { pino } from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { systemClock } from '../../agent/clock.ts'
import { createHand } from '../../agent/frames/hand.ts'
import { createPace } from '../../agent/frames/pace.ts'
import { createQueue } from '../../agent/frames/queue.ts'
import { createSuspects } from '../../agent/frames/suspects.ts'
import { createTally } from '../../agent/frames/tally.ts'
import { createWork, type Job } from '../../agent/frames/work.ts'
import { createHost } from '../../models/runtime/host.ts'
import { shipped } from '../models/zoo.ts'
import { createRig } from './buffer-rig.ts'

const PROGRAM = new URL('../models/programs/deadly.ts', import.meta.url).pathname
const log = pino({ level: 'silent' })
const clock = systemClock

async function startWork(processes: number) {
  const pkg = await shipped('mobilenet-v1')
  const host = createHost({ log, program: PROGRAM, processes, budgetMiB: 1_000 })
  onTestFinished(() => host.close())
  await host.load(pkg)
  const rig = createRig()
  onTestFinished(() => rig.remove())
  const suspects = createSuspects({ table: rig.open().poison, now: clock.now, log })
  const ended: Record<string, string> = {}
  const hand = createHand<Job>(host.size)
  const pace = createPace(clock.elapsed, hand.nextDepth)
  const work = createWork({
    queue: createQueue<Job>({ framesPerModel: 64, bytesPerModel: 1e6 }, pace),
    pace,
    host,
    answers: {
      ran: ({ task = '' }, _, __, outcome) => Object.assign(ended, { [task]: outcome.ok ? 'ok' : outcome.error.code }),
      refused: ({ task = '' }, { code }) => Object.assign(ended, { [task]: code }),
    },
    tally: createTally(),
    suspects,
    clock,
    hand,
    slow: () => 0,
  })
  work.start()
  return {
    host,
    work,
    suspects,
    ended,
    offer(task: string, text: string) {
      const frame = { contentType: 'image/jpeg', data: Buffer.from(text) } as const
      const to = { model: 'mobilenet-v1', task }
      const common = { kind: 'task', model: to.model, source: 'a', arrivedAt: clock.elapsed(), bytes: 10 } as const
      work.offer({ ...common, to, pkg, frame })
    },
  }
}

test.each([1, 2])(
  'with %i processes, an input that kills while it is decoded is found out, and those beside it are not blamed',
  async (processes) => {
    const { host, work, suspects, ended, offer } = await startWork(processes)
    await vi.waitUntil(() => host.size() === processes, { timeout: 20_000, interval: 5 })
    const texts = ['good 1', 'good 2', 'Hostile 1', 'good 3', 'good 4', 'Hostile 2', 'good 5', 'Hostile 3', 'good 6']
    for (const text of texts) offer(text, text)
    await work.idle()
    expect(ended).toEqual(Object.fromEntries(texts.map((text) => [text, text.startsWith('Hostile') ? 'poison' : 'ok'])))
    expect(suspects.count()).toBe(3)
  },
)
