// Preloaded into a real agent (NODE_OPTIONS=--import): its wall clock is what the file says, in milliseconds from the true time,
// at the start and again at each SIGUSR2. Plain JavaScript: it is loaded before anything else.
import { existsSync, readFileSync } from 'node:fs'

const file = process.env['SHIFT_CLOCK_FILE']
const { now } = Date
const read = () => (existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0)
let shift = read()
Date.now = () => now() + shift
process.on('SIGUSR2', () => {
  shift = read()
})
