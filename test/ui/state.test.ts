import { beforeEach, describe, expect, it } from 'vitest'
import type { Device, DeviceDetail, Overview, PayoutView, TaskView } from '../../console/routes/shapes.ts'
import { nextStrip } from '../../console/ui/answers.ts'
import {
  applyEvents,
  arrival,
  detail,
  devices,
  extendDetail,
  forget,
  isBehind,
  loadTasks,
  mergeTask,
  moneyMoves,
  overview,
  tasks,
} from '../../console/ui/state.ts'

const time = (second: number): string => new Date(Date.UTC(2026, 10, 22, 12, 0, second)).toISOString()

function taskAt(second: number, extra: Partial<TaskView> = {}): TaskView {
  const at = time(second)
  const model = extra.model ?? 'ssd-mobilenet-v1'
  return {
    id: `T${second}`,
    requestId: `r${second}`,
    requester: 'demo',
    kind: 'task',
    model,
    state: 'done',
    device: { id: 'dev-a', name: 'calm-violet-finch' },
    attempts: 1,
    acceptedAt: at,
    price: '100',
    frame: true,
    answer: {
      id: `r${second}`,
      model,
      device: 'dev-a',
      at,
      ms: { queue: 0, decode: 1, infer: 2 },
      digest: 'a'.repeat(64),
      result: { kind: 'detection', objects: [] },
    },
    ...extra,
  }
}

const device: Device = {
  id: 'dev-a',
  memMiB: 120,
  name: 'calm-violet-finch',
  owner: { id: 'own', name: 'Demo' },
  state: 'working',
  reason: 'Answered 1 s ago.',
  clocks: { heartbeatAt: time(30) },
  models: [],
  rate: 2,
  queue: 0,
  earned: '0',
}

beforeEach(() => forget())

describe('tasks on the page', () => {
  it('stand newest first, once each, and the oldest leave', () => {
    const list = [3, 1, 2, 2].reduce<TaskView[]>((all, second) => mergeTask(all, taskAt(second), 2), [])
    expect(list.map(({ id }) => id)).toEqual(['T3', 'T2'])
  })

  it('that have ended are not opened again by a list that was read earlier', () => {
    applyEvents([{ event: 'task', data: taskAt(1) }])
    loadTasks([taskAt(2), taskAt(1, { state: 'leased' }), taskAt(0)])
    expect(tasks.value?.map(({ id, state }) => `${id} ${state}`)).toEqual(['T2 done', 'T1 done', 'T0 done'])
  })

  it('that ended while there was no connection are ended after the next reading', () => {
    applyEvents([{ event: 'task', data: taskAt(1, { state: 'leased' }) }])
    loadTasks([taskAt(1)])
    expect(tasks.value?.map(({ state }) => state)).toEqual(['done'])
  })
})

describe('events', () => {
  it('reach the open board: its state, its charts once per heartbeat, its tasks', () => {
    const open: DeviceDetail = { device, history: [], tasks: [], receipts: [] }
    detail.value = open
    devices.value = [device]
    applyEvents([
      { event: 'device', data: { ...device, rate: 5 } },
      { event: 'device', data: { ...device, rate: 6 } },
      { event: 'device', data: { ...device, rate: 7, clocks: { heartbeatAt: time(60) } } },
      { event: 'task', data: taskAt(4) },
      { event: 'task', data: taskAt(5, { device: { id: 'dev-b', name: 'other' } }) },
    ])
    expect(detail.value.history.map(({ rate }) => rate)).toEqual([5, 7])
    expect(detail.value.tasks.map(({ id }) => id)).toEqual(['T4'])
    expect(devices.value[0]?.rate).toBe(7)
  })

  it('of a board without a thermometer put no temperature into its chart', () => {
    const grown = extendDetail({ device, history: [], tasks: [], receipts: [] }, device)
    expect(grown.history[0]).not.toHaveProperty('tempC')
  })

  it('of a board that fell silent put no point into its charts', () => {
    const { memMiB: _, ...silent } = device
    expect(extendDetail({ device, history: [], tasks: [], receipts: [] }, silent).history).toEqual([])
  })

  it('keep with a price of energy how it is known', () => {
    const energy = { j: 0.1, from: 'estimated' } as const
    const grown = extendDetail({ device, history: [], tasks: [], receipts: [] }, { ...device, energy })
    expect(grown.history[0]).toMatchObject({ energy })
  })

  it('tell that a birth message or vitals on the open page are old', () => {
    const known = { device: { ...device, told: ' ' }, history: [], tasks: [], receipts: [] }
    expect(isBehind(known)).toBe(false)
    detail.value = known
    applyEvents([{ event: 'device', data: { ...device, told: ` ${time(40)}` } }])
    expect(isBehind(detail.value)).toBe(true)
    // A console of before this was told.
    expect(isBehind({ ...known, device })).toBe(false)
  })

  it('of money ask for the accounts again, and a final payout is an arrival', () => {
    const before = moneyMoves.value
    const payout = { state: 'sent', amount: '5' } as PayoutView
    applyEvents([{ event: 'payout', data: payout }])
    expect(arrival.value).toBeUndefined()
    applyEvents([
      { event: 'payout', data: { ...payout, state: 'finalized' } },
      { event: 'rewards', data: { at: time(1) } },
    ])
    expect(arrival.value?.payout.amount).toBe('5')
    expect(moneyMoves.value).toBe(before + 3)
  })

  it('are forgotten with the token', () => {
    applyEvents([{ event: 'overview', data: { cluster: 'local' } as Overview }])
    forget('gone')
    expect([overview.value, tasks.value]).toEqual([undefined, undefined])
  })
})

describe('the live strip', () => {
  it('fills its places and then renews the oldest, leaving the others where they are', () => {
    const full = nextStrip([], [taskAt(3), taskAt(2), taskAt(1)], 2)
    expect(full.map(({ id }) => id)).toEqual(['T3', 'T2'])
    expect(nextStrip(full, [taskAt(4)], 2).map(({ id }) => id)).toEqual(['T3', 'T4'])
  })

  it('takes no answer older than what it shows, none that failed, none without a picture', () => {
    const shown = [taskAt(5)]
    const failed = { error: { code: 'busy', message: 'full' } } as unknown as TaskView['answer'] & object
    const others = [taskAt(4), taskAt(6, { frame: false }), taskAt(7, { answer: failed })]
    expect(nextStrip(shown, others, 1)).toEqual(shown)
  })

  it('prefers a board and model that it does not show yet', () => {
    const shown = [taskAt(1), taskAt(2)]
    const rare = taskAt(3, { model: 'mobilenet-v1' })
    expect(nextStrip(shown, [taskAt(4), rare], 2)[0]?.id).toBe('T3')
  })
})
