// `npm run soak [-- --minutes 30 --load 0.8 --model M --out FILE.csv]`: a board under steady load for a long time, the resident
// memory of its processes every ten seconds, and the slope of it after the warm-up.
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { connectLink } from '../../broker/link.ts'
import { filters, formatTopic } from '../../broker/protocol/topics.ts'
import { ROOT, removeFolder, startBramble } from '../harness/bramble.ts'
import { createLoad } from './load.ts'
import { childrenOf, readProcess } from './processes.ts'
import { median } from './report.ts'

const SAMPLE_MS = 10_000

interface Sample {
  readonly s: number
  readonly answered: number
  readonly agentMiB: number
  readonly hostsMiB: number
  readonly consoleMiB: number
}

/** Theil-Sen: the median of the slopes between all pairs, which a few outliers do not move. MiB per hour. */
export function slopePerHour(samples: readonly (readonly [s: number, mib: number])[]): number {
  const slopes = samples.flatMap(([s, mib], i) => samples.slice(i + 1).map(([t, later]) => (later - mib) / (t - s)))
  return median(slopes) * 3600
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '30' },
      warmup: { type: 'string', default: '5' },
      load: { type: 'string', default: '0.8' },
      model: { type: 'string', default: 'mobilenet-v1' },
      out: { type: 'string' },
    },
  })
  const [seconds, warmupS, share] = [Number(values.minutes) * 60, Number(values.warmup) * 60, Number(values.load)]
  const frames = await Promise.all(
    ['astronaut', 'coffee', 'chelsea'].map((name) => readFile(`${ROOT}test/fixtures/frames/${name}-640.jpg`)),
  )
  const bramble = await startBramble({ flags: ['--no-demo', '--agents', '1'] })
  const { requester, mqtt, devices } = bramble.ready
  const device = devices[0]?.id ?? ''
  const link = connectLink({
    url: mqtt.url,
    clientId: 'soak',
    username: requester.id,
    password: requester.password,
    subscriptions: filters.deviceOutput(device),
    log: pino({ level: 'silent' }),
  })
  try {
    await new Promise<void>((resolve) => link.onConnect(resolve))
    const load = createLoad(link)
    const model = values.model
    const address = (task: string) => ({ kind: 'device-in', device, model, task }) as const
    await load.run(address, frames, 8, 3)
    const full = await load.run(address, frames, 8, 10)
    const rate = full.framesPerS * share
    console.log(
      `${model}: ${full.framesPerS.toFixed(1)} frames/s at most, soak at ${rate.toFixed(1)} for ${values.minutes} min`,
    )
    const agent = childrenOf(bramble.child.pid ?? 0).find(({ command }) => command.includes('agent/main.ts'))?.pid ?? 0
    const rssOf = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + readProcess(pid).rssMiB, 0)

    let answered = 0
    let sent = 0
    link.onMessage(() => {
      answered += 1
    })
    const from = performance.now()
    const samples: Sample[] = []
    let nextSample = SAMPLE_MS
    for (let now = 0; now < seconds * 1000; now = performance.now() - from) {
      for (; sent < (now / 1000) * rate; sent += 1) {
        const frame = frames[sent % frames.length]
        if (frame) await link.publish(formatTopic(address(`soak-${sent}`)), frame, { qos: 1 })
      }
      if (now >= nextSample) {
        nextSample += SAMPLE_MS
        const sample = {
          s: Math.round(now / 1000),
          answered,
          agentMiB: rssOf([agent]),
          hostsMiB: rssOf(childrenOf(agent).map(({ pid }) => pid)),
          consoleMiB: rssOf([bramble.child.pid ?? 0]),
        }
        samples.push(sample)
        if (samples.length % 6 === 0)
          console.log(
            `${sample.s} s: answered ${answered} of ${sent}, agent ${sample.agentMiB.toFixed(1)}, hosts ${sample.hostsMiB.toFixed(1)}, console ${sample.consoleMiB.toFixed(1)} MiB`,
          )
      }
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const warm = samples.filter(({ s }) => s >= warmupS)
    for (const key of ['agentMiB', 'hostsMiB', 'consoleMiB'] as const)
      console.log(
        `${key}: ${slopePerHour(warm.map((sample) => [sample.s, sample[key]])).toFixed(2)} MiB/h after warm-up`,
      )
    console.log(`sent ${sent}, answered ${answered}`)
    if (values.out !== undefined) {
      const rows = samples.map(({ s, answered: n, agentMiB, hostsMiB, consoleMiB }) =>
        [s, n, agentMiB.toFixed(2), hostsMiB.toFixed(2), consoleMiB.toFixed(2)].join(','),
      )
      await writeFile(values.out, `s,answered,agent_mib,hosts_mib,console_mib\n${rows.join('\n')}\n`)
    }
  } finally {
    await link.close()
    await bramble.stop()
    await removeFolder(bramble.data)
  }
}

await main()
