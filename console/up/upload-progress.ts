// How far an upload is.

const MIB = 1024 * 1024
/** One line that is written over, on a terminal only: a log needs no hundred lines of progress. */
export const progress = (sent: number, all: number, path: string): void => {
  if (!process.stderr.isTTY) return
  const line = `${Math.floor((100 * sent) / all)} % of ${(all / MIB).toFixed(1)} MiB  ${path}`
  process.stderr.write(`\r${line.slice(0, 78).padEnd(78)}${sent === all ? '\n' : ''}`)
}
