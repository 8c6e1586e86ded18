// CPU time and resident memory of running processes, from /proc: what the kernel counted, not what a process says of itself.
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessReading {
  readonly cpuMs: number
  readonly rssMiB: number
}

/** USER_HZ, which Linux has fixed at 100 for user space. */
const TICK_MS = 10

/** The numbered fields of /proc/PID/stat after the command's name, which may hold spaces. */
const statOf = (pid: number): string[] => {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

export function readProcess(pid: number): ProcessReading {
  const stat = statOf(pid)
  const rss = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return { cpuMs: (Number(stat[11]) + Number(stat[12])) * TICK_MS, rssMiB: Number(rss?.[1] ?? 0) / 1024 }
}

/** The pids whose parent is `pid`, with their command lines. */
export function childrenOf(pid: number): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        if (Number(statOf(Number(name))[1]) !== pid) return []
        return [{ pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ') }]
      } catch {
        return [] // it ended between the listing and the reading
      }
    })
}
