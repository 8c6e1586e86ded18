// A local chain in a process of its own, to be killed: prints its address as JSON and runs until then.
import { pino } from 'pino'
import { startLocalChain } from '../../console/settlement/local-chain/start.ts'

const [folder = '', port = '0'] = process.argv.slice(2)
const chain = await startLocalChain({
  folder,
  port: Number(port),
  now: Date.now,
  log: pino({ level: 'silent' }),
  slotMs: 20,
  // Often, so that a kill also strikes while one is being written.
  snapshotEvery: 7,
})
process.stdout.write(`${JSON.stringify({ rpcUrl: chain.rpcUrl, genesisHash: chain.genesisHash })}\n`)
