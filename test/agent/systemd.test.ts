import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pino } from 'pino'
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { createSystemd, notifyOf, watchdogOf } from '../../agent/systemd.ts'
import { openEar, openTestBroker } from './board.ts'
import { createFakeClock } from './fake-clock.ts'

const silent = pino({ level: 'silent' })

function lacks(file: string): string | undefined {
  try {
    execFileSync(file, ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return `skipped: ${file} is not installed`
  }
}
const missing = lacks('systemd-notify') ?? lacks('python3')
const here = (context: TestContext): void => context.skip(missing !== undefined, missing ?? '')

/** Node cannot open a datagram socket in the file system: Python holds systemd's end. The barrier's descriptor is closed at once. */
const LISTENER = `
import array, os, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + name[1:] if name[0] == "@" else name)
print("bound", flush=True)
while True:
    data, extra, _, _ = s.recvmsg(4096, 4096)
    for _, kind, fds in extra:
        if kind == socket.SCM_RIGHTS:
            for fd in array.array("i", fds): os.close(fd)
    print(data.decode().replace("\\n", "|"), flush=True)
`

async function openNotifySocket(name: string) {
  const child = spawn('python3', ['-c', LISTENER, name], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  const waiting: (() => void)[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line !== 'BARRIER=1') lines.push(line)
    for (const wake of waiting.splice(0)) wake()
  })
  const said = async (text: string): Promise<string> => {
    for (;;) {
      const line = lines.find((one) => one.includes(text))
      if (line !== undefined) return line
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
  }
  await said('bound')
  return { lines, said }
}

describe('what systemd is told', () => {
  it.for(['in a folder', '@abstract'])('arrives at a datagram socket: %s', async (kind, context) => {
    here(context)
    const folder = mkdtempSync(join(tmpdir(), 'notify-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const name = kind.startsWith('@') ? `@bramble-test-${process.pid}` : join(folder, 'socket')
    const socket = await openNotifySocket(name)
    const notify = notifyOf({ NOTIFY_SOCKET: name, PATH: process.env['PATH'] })!
    await notify(['READY=1', 'STATUS=serving a, b; connected'])
    expect(await socket.said('READY')).toBe('READY=1|STATUS=serving a, b; connected')
  })

  it('is nothing without a service manager, and the watchdog is for the process it names', () => {
    expect(notifyOf({})).toBeUndefined()
    expect(watchdogOf({}, 7)).toBeUndefined()
    expect(watchdogOf({ WATCHDOG_USEC: '60000000' }, 7)).toBe(60_000)
    expect(watchdogOf({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7' }, 7)).toBe(60_000)
    expect(watchdogOf({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '8' }, 7)).toBeUndefined()
    expect(watchdogOf({ WATCHDOG_USEC: 'x' }, 7)).toBeUndefined()
  })

  it('is a ping three times a period, until the work is stuck, and again once it goes on', async () => {
    const told: string[][] = []
    const { clock, advance } = createFakeClock()
    let reason: string | undefined
    const systemd = createSystemd({
      notify: async (assignments) => void told.push([...assignments]),
      watchdogMs: 60_000,
      stuck: () => reason,
      status: () => `${reason ?? 'fine'}\nand well`,
      clock,
      log: silent,
    })
    const pings = () => told.filter(([first]) => first === 'WATCHDOG=1').length
    systemd.ready()
    expect(told[0]).toEqual(['READY=1', 'STATUS=fine and well'])
    await advance(60_000)
    expect(pings()).toBe(4)
    reason = 'stuck'
    await advance(60_000)
    expect(pings()).toBe(4)
    expect(told.at(-1)).toEqual(['STATUS=stuck and well'])
    reason = undefined
    await advance(20_000)
    expect(pings()).toBe(5)
    await systemd.stopping()
    expect(told.at(-1)![0]).toBe('STOPPING=1')
    await advance(120_000)
    expect(pings()).toBe(5)
  })

  it('that cannot be told is said once, and disturbs nothing', async () => {
    const { clock, advance } = createFakeClock()
    const errors: unknown[] = []
    const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(line) })
    const systemd = createSystemd({
      notify: () => Promise.reject(new Error('ENOENT')),
      watchdogMs: 3_000,
      stuck: () => undefined,
      status: () => '',
      clock,
      log,
    })
    systemd.ready()
    await advance(30_000)
    expect(errors.length).toBe(1)
  })
})

describe('a board under a service manager', () => {
  it('is ready when it serves, feeds the watchdog, and says that it stops', async (context) => {
    here(context)
    const folder = mkdtempSync(join(tmpdir(), 'unit-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const socket = await openNotifySocket(join(folder, 'notify'))
    const broker = await openTestBroker()
    onTestFinished(() => broker.close())
    const { console } = await openEar(broker.url)
    onTestFinished(() => console.close())
    const main = new URL('../../agent/main.ts', import.meta.url).pathname
    const flags = ['--data', join(folder, 'data'), '--mqtt-url', broker.url, '--device', 'dev-unit']
    const child = spawn(process.execPath, [main, 'run', ...flags, '--serve', 'mobilenet-v1', '--log-level', 'error'], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, NOTIFY_SOCKET: join(folder, 'notify'), WATCHDOG_USEC: '600000' },
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    // Listened for from the start: nobody waits until systemd has heard the goodbye, so the process may be gone before it.
    const ended = once(child, 'close')
    expect(await socket.said('READY=1')).toContain('STATUS=serving mobilenet-v1')
    await socket.said('WATCHDOG=1')
    child.kill('SIGTERM')
    expect(await socket.said('STOPPING=1')).toContain('STATUS=')
    expect(await ended).toEqual([0, null])
  }, 20_000)
})
