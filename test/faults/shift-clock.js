// Preloaded into a real agent (NODE_OPTIONS=--import): each SIGUSR2 sets its wall clock to what the file says, in
// milliseconds from the true time. Plain JavaScript: it is loaded before anything else.
import { readFileSync } from 'node:fs'

const file = process.env['SHIFT_CLOCK_FILE']
const { now } = Date
let shift = 0
Date.now = () => now() + shift
process.on('SIGUSR2', () => {
  shift = Number(readFileSync(file, 'utf8'))
})
