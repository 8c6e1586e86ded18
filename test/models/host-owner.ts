// A process that owns an inference host and tells its child's pid: killed by the test to see whether the child goes too.
import { pino } from 'pino'
import { readPackage } from '../../models/catalog.ts'
import { createHost } from '../../models/runtime/host.ts'

const host = createHost({ log: pino({ level: 'silent' }) })
await host.load(await readPackage(process.argv[2] ?? ''))
process.send?.(host.stats().processes[0]?.pid)
