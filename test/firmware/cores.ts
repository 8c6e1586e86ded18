// The arm64 package's programs on x86, as a board's kind of core would run them: qemu-user, which emulates that core's instructions.
import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StartAgent } from '../bench/board.ts'

/** MIDR's part numbers and what these cores can do, as their /proc/cpuinfo says: ONNX Runtime's kernels are chosen by it. */
export const CORES = {
  'cortex-a53': { part: '0xd03', features: 'fp asimd evtstrm crc32 cpuid' },
  'cortex-a72': { part: '0xd08', features: 'fp asimd evtstrm crc32 cpuid' },
  'cortex-a76': {
    part: '0xd0b',
    features: 'fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp',
  },
} as const
export type Core = keyof typeof CORES

interface Place {
  /** For what stands beside the package: this core's wrapper and list of CPUs. */
  readonly work: string
  /** Where the package's programs lie. */
  readonly home: string
}

/**
 * qemu-user shows its programs the CPU list of this machine, at which ONNX Runtime crashes: a private mount puts a board's in its
 * place. Children are started through a wrapper, because the kernel here need not know how to start arm64 programs.
 */
export function agentOn(core: Core, { work, home }: Place): StartAgent {
  const { part, features } = CORES[core]
  const folder = join(work, core)
  mkdirSync(folder, { recursive: true })
  const at = (name: string): string => join(folder, name)
  writeFileSync(
    at('cpuinfo'),
    `processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: ${features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: ${part}\nCPU revision\t: 3\n\n`,
  )
  writeFileSync(
    at('node'),
    `#!/bin/sh\nexec qemu-aarch64-static -cpu ${core} -L /usr/aarch64-linux-gnu ${join(home, 'node')} "$@"\n`,
  )
  chmodSync(at('node'), 0o755)
  writeFileSync(at('preload.cjs'), `process.execPath = ${JSON.stringify(at('node'))}\n`)
  const inside = `mount --make-rprivate / && mount --bind ${at('cpuinfo')} /proc/cpuinfo && exec "$0" "$@"`
  return (args, env) =>
    spawn(
      'unshare',
      [
        ...['-m', 'sh', '-c', inside, at('node'), 'agent/main.js', ...args],
        ...['--threads', '1', '--run-limit-ms', '200000', '--log-level', 'warn'],
      ],
      {
        cwd: home,
        stdio: ['ignore', 'inherit', 'inherit'],
        env: { PATH: process.env['PATH'], NODE_OPTIONS: `--require=${at('preload.cjs')}`, ...env },
      },
    )
}
