// `npm run bench [-- --json] [--rounds N] [--seconds S] [--hosts N] [--threads N]`: one machine, one run, the paths interleaved,
// medians reported.
// bare = decode then infer in one process; direct = pipeline → broker → board and back; pool = the same through the console.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { parseArgs, promisify } from 'node:util'
import { pino } from 'pino'
import { connectLink } from '../../broker/link.ts'
import { filters } from '../../broker/protocol/topics.ts'
import { ROOT, removeFolder, startBramble } from '../harness/bramble.ts'
import { ledgerText, measureLedger } from './ledger.ts'
import { type Address, createLoad, type LoadGenerator } from './load.ts'
import { measureLone } from './lone.ts'
import { measureOutbox } from './outbox.ts'
import { childrenOf, readProcess } from './processes.ts'
import { type Measured, type Row, summarise, table } from './report.ts'

const MODELS = ['ssd-mobilenet-v1', 'mobilenet-v1'] as const
const FRAMES = ['astronaut', 'coffee', 'chelsea'].map((name) => `${ROOT}test/fixtures/frames/${name}-640.jpg`)
/** Enough in flight to keep the board busy; what the figures are taken at. */
const SATURATED = 16

async function measureBare(model: string, seconds: number): Promise<Measured> {
  const args = [`${ROOT}test/bench/bare.ts`, model, String(seconds), ...FRAMES]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout) as Measured
}

/** CPU and memory of the console, the agent and its inference host over one stretch of load. */
async function measureLoad(
  load: LoadGenerator,
  pids: Readonly<Record<string, number>>,
  address: Address,
  frames: readonly Uint8Array[],
  inflight: number,
  seconds: number,
): Promise<Measured> {
  await load.run(address, frames, inflight, 0.5)
  const before = Object.entries(pids).map(([name, pid]) => [name, readProcess(pid).cpuMs] as const)
  const { answered, failed, ...figures } = await load.run(address, frames, inflight, seconds)
  if (failed > 0) throw new Error(`${failed} of ${answered + failed} frames were not answered with a result`)
  const processes = Object.fromEntries(
    before.map(([name, cpuMs]) => {
      const now = readProcess(pids[name] as number)
      return [name, { cpuMsPerFrame: (now.cpuMs - cpuMs) / answered, rssMiB: now.rssMiB }]
    }),
  )
  return { ...figures, processes }
}

function boardPids(console: number): Record<string, number> {
  const agent = childrenOf(console).find(({ command }) => command.includes('agent/main.ts'))
  const hosts = agent ? childrenOf(agent.pid).filter(({ command }) => command.includes('host-process')) : []
  if (!agent || hosts.length === 0) throw new Error('the agent or its inference host is not running')
  return { console, agent: agent.pid, ...Object.fromEntries(hosts.map(({ pid }, i) => [`host ${i + 1}`, pid])) }
}

const kib = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '4' },
      hosts: { type: 'string' },
      threads: { type: 'string' },
    },
  })
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)]
  const say = (text: string): void => void (values.json || console.log(text))
  const { hosts, threads } = values
  if (hosts !== undefined) process.env['BRAMBLE_HOSTS'] = hosts
  if (threads !== undefined) process.env['BRAMBLE_THREADS'] = threads
  say(`${MODELS.length} models × 5 measurements × ${rounds} rounds, about ${Math.ceil(rounds * 10 * (seconds + 2))} s`)

  const bramble = await startBramble({ flags: ['--no-demo', '--agents', '1'] })
  const { requester, mqtt, devices } = bramble.ready
  const device = devices[0]?.id ?? ''
  const link = connectLink({
    url: mqtt.url,
    clientId: 'bench',
    username: requester.id,
    password: requester.password,
    subscriptions: [...filters.requesterOutput(requester.id), ...filters.deviceOutput(device)],
    log: pino({ level: 'silent' }),
  })
  try {
    const load = createLoad(link)
    await new Promise<void>((resolve) => link.onConnect(resolve))
    const frames = await Promise.all(FRAMES.map((file) => readFile(file)))
    const measured = new Map<string, { row: Pick<Row, 'model' | 'path' | 'inflight'>; rounds: Measured[] }>()
    const keep = (model: string, path: Row['path'], inflight: number, figures: Measured): void => {
      const key = `${model} ${path} ${inflight}`
      const entry = measured.get(key) ?? { row: { model, path, inflight }, rounds: [] }
      entry.rounds.push(figures)
      measured.set(key, entry)
      say(`  ${key}: ${figures.framesPerS.toFixed(1)} frames/s, p50 ${figures.p50Ms.toFixed(1)} ms`)
    }
    for (let round = 0; round < rounds; round += 1) {
      say(`round ${round + 1} of ${rounds}`)
      for (const model of MODELS) {
        keep(model, 'bare', 1, await measureBare(model, seconds))
        const direct: Address = (task) => ({ kind: 'device-in', device, model, task })
        const pool: Address = (task) => ({ kind: 'requester-in', requester: requester.id, model, task })
        for (const [path, address] of [
          ['direct', direct],
          ['pool', pool],
        ] as const)
          for (const inflight of [1, SATURATED]) {
            await load.run(address, frames, 1, 0.2)
            const pids = boardPids(bramble.child.pid ?? 0)
            keep(model, path, inflight, await measureLoad(load, pids, address, frames, inflight, seconds))
          }
      }
    }
    const machine = `${cpus()[0]?.model ?? 'unknown CPU'} × ${cpus().length}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`
    const rows = [...measured.values()].map(({ row, rounds: taken }) => summarise(row, taken))
    say(`\n${machine}\n\n${table(rows)}`)
    const lone = await measureLone('mobilenet-v1', frames[0] ?? new Uint8Array(), rounds)
    say(
      `\nby itself, ${lone.model}: first answer ${lone.startS.toFixed(1)} s after its start, RSS agent ${lone.agentMiB.toFixed(0)} + inference ${lone.hostsMiB.toFixed(0)} MiB`,
    )
    const outbox = await measureOutbox()
    say(
      `outbox: ${Math.round(outbox.resultsPerS)} results/s; written per 1,000 results: ${kib(outbox.bytesPer1000)} in a flood, ${kib(outbox.dripped.bytesPer1000)} at 20 a second`,
    )
    const ledger = await measureLedger()
    say(ledgerText(ledger))
    if (values.json) console.log(JSON.stringify({ machine, rows, lone, outbox, ledger }))
  } finally {
    await link.close()
    await bramble.stop()
    await removeFolder(bramble.data)
  }
}

await main()
