// A parent for children.test.ts: keeps one child alive, tells its process id, and is killed by the test.
import { pino } from 'pino'
import { sleepFor } from '../../console/loops.ts'
import { keepAlive } from '../../console/up/children.ts'

keepAlive({
  name: 'kept',
  args: [new URL('./kept-child.ts', import.meta.url).pathname],
  log: pino({ base: null }),
  sleep: sleepFor,
  now: Date.now,
  stopping: new AbortController().signal,
})
