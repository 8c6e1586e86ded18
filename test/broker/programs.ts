// Programs of the system that the contract tests talk to: found on the PATH, started, and ended by their own process id.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { onTestFinished } from 'vitest'

const runs = (file: string, args: readonly string[]): boolean => {
  try {
    execFileSync(file, args, { stdio: 'ignore' })
    return true
  } catch (error) {
    // mosquitto's tools answer --help with 1 or 3: they are there.
    return error instanceof Error && 'status' in error && typeof error.status === 'number'
  }
}

/** Debian puts the broker into /usr/sbin, which is not on everybody's PATH. */
const MOSQUITTO = ['mosquitto', '/usr/sbin/mosquitto'].find((file) => runs(file, ['-h']))
export const SYSTEM_PYTHON = '/usr/bin/python3'

const hasPaho = (): boolean => {
  try {
    execFileSync(SYSTEM_PYTHON, ['-c', 'import paho.mqtt.client'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** The note to skip with, or undefined when the program is there. */
export const missing = {
  mosquitto: MOSQUITTO === undefined ? 'skipped: mosquitto is not installed' : undefined,
  clients: runs('mosquitto_pub', ['--help']) ? undefined : 'skipped: mosquitto is not installed',
  paho: hasPaho() ? undefined : 'skipped: paho is not installed',
}

export interface Ended {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

export function start(file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Running {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (data: Buffer) => stdout.push(data))
  child.stderr.on('data', (data: Buffer) => stderr.push(data))
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    stdout: Buffer.concat(stdout),
    stderr: Buffer.concat(stderr).toString(),
  }))
  return { child, ended }
}

export const run = (file: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> =>
  start(file, args, env).ended

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const up = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'close').then(() => false),
  ]).catch(() => false)
  socket.destroy()
  return up
}

export interface Mosquitto {
  readonly url: string
  /** Ends the broker and starts it again on the same port. */
  restart(): Promise<void>
}

/** A real mosquitto on a free port, with a throw-away configuration. */
export async function startMosquitto(config: readonly string[] = ['allow_anonymous true']): Promise<Mosquitto> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-mosquitto-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const file = join(folder, 'mosquitto.conf')
  await writeFile(file, [`listener ${port} 127.0.0.1`, 'persistence false', ...config, ''].join('\n'))
  let running: Running
  const up = async (): Promise<void> => {
    running = start(MOSQUITTO ?? 'mosquitto', ['-c', file])
    // It says nowhere that it listens, so its port is asked.
    while (!(await answers(port))) await wait(20)
  }
  await up()
  return {
    url: `mqtt://127.0.0.1:${port}`,
    async restart() {
      running.child.kill('SIGKILL')
      await running.ended
      await up()
    },
  }
}
