// What the agent's two processes take of an emulated board's memory, as its kernel counts it.
import { expect } from 'vitest'
import type { Guest } from './guest.ts'

const PROCESSES = `for p in /proc/[0-9]*; do
  [ "$(stat -c %U "$p" 2>/dev/null)" = bramble-agent ] || continue
  echo "$(tr '\\0' ' ' <"$p/cmdline") $(awk '/^Rss:|^Pss:/ { printf "%s%s ", $1, $2 }' "$p/smaps_rollup")"
done`

/** Of both together, in millions of bytes. */
export async function memoryOf({ sh }: Guest): Promise<{ readonly rss: number; readonly pss: number }> {
  const processes = (await sh(PROCESSES)).split('\n').filter((line) => /main\.js|host-process\.js/.test(line))
  expect(processes.map((line) => /(main|host-process)\.js/.exec(line)?.[1]).sort()).toEqual(['host-process', 'main'])
  const sum = (kind: string): number =>
    processes.reduce((kib, line) => kib + Number(new RegExp(`${kind}:(\\d+)`).exec(line)?.[1]), 0) * 1024e-6
  return { rss: sum('Rss'), pss: sum('Pss') }
}
