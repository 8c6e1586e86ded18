// A year of a board that its owner leaves alone, in virtual time: a few tasks a day, power cuts, outages, a console that is away while
// its broker is not, a clock that is set. In the end nothing is lost, and nothing has grown.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { createRandom } from '../harness/random.ts'
import { createWorld, type World } from './world.ts'

const [HOUR, DAY] = [3_600_000, 86_400_000]
const TASKS_A_DAY = 4

let world: World | undefined
afterEach(() => world?.close())

it('after a year nothing is lost, nothing was said more often than need be, and the outbox is as small as it was', async () => {
  // Who has no answer asks again once an hour.
  const board = await createWorld({ leaseMs: HOUR })
  world = board
  const random = createRandom(1)
  const file = join(board.folder, 'buffer.db')
  const sizes: number[] = []
  let [sent, silentHours] = [0, 0]

  async function tasks(count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      sent += 1
      board.send(`task-${sent}`)
      await board.advance(DAY / TASKS_A_DAY)
    }
  }

  async function away(how: 'off' | 'unheard', hours: number): Promise<void> {
    board.network(how)
    await board.advance((hours * HOUR) / 2)
    if (how === 'unheard') await tasks(1)
    await board.advance((hours * HOUR) / 2)
    if (how === 'unheard') silentHours += hours + 24 / TASKS_A_DAY
    board.network('off')
    board.network('on')
  }

  for (let day = 0; day < 365; day += 1) {
    const chance = random()
    if (chance < 0.3) board.restart()
    else if (chance < 0.4) await away('off', 20 * random())
    else if (chance < 0.43) await away('unheard', 20 * random())
    else if (chance < 0.45) board.setClock(random() < 0.5 ? DAY : -DAY)
    else if (chance < 0.46) {
      // No battery: it starts in 1970, and is told the time later.
      const back = board.clock.now()
      board.setClock(-back)
      board.restart()
      await tasks(1)
      board.setClock(back)
    }
    await tasks(TASKS_A_DAY)
    if (day % 73 === 72) sizes.push(statSync(file).size)
  }
  await board.settle()
  expect(board.verdict()).toEqual([])
  expect(board.buffer().owed()).toBe(0)
  expect(Math.max(...sizes)).toBeLessThan(20 * 1024)
  // An answer and its batch; both again at a start or a connection, and every five minutes to a console that is away.
  expect(board.said()).toBeLessThan(5 * sent + 30 * silentHours)
})
