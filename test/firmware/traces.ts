// What would give away the machine that built an image: its mirror, its proxy, its name, its folders.
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readSync } from 'node:fs'
import { hostname } from 'node:os'
import { ROOT } from '../harness/bramble.ts'

/** Everybody's. */
const PUBLIC = new Set(['deb.debian.org', 'security.debian.org'])

/** Hosts that apt is told to use here, but for Debian's own; this machine's name; the folder of this clone. */
export function tracesOfThisMachine(): string[] {
  const said = [
    execFileSync('apt-get', ['indextargets', '--format', '$(SITE)'], { encoding: 'utf8' }),
    execFileSync('apt-config', ['dump'], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => /proxy/i.test(line))
      .join('\n'),
    process.env['http_proxy'] ?? '',
  ].join('\n')
  const hosts = [...said.matchAll(/https?:\/\/(?:[^@/\s"]*@)?([^/:\s"]+)/g)].map(([, host]) => String(host))
  const names = [...hosts.filter((host) => !PUBLIC.has(host)), hostname(), ROOT]
  return [...new Set(names)].filter((text) => text.length > 5)
}

const CHUNK = 16 * 2 ** 20

/** Those of `texts` that occur anywhere in the file. */
export function foundIn(file: string, texts: readonly string[]): string[] {
  const found = new Set<string>()
  const overlap = Math.max(...texts.map((text) => Buffer.byteLength(text)))
  const buffer = Buffer.alloc(overlap + CHUNK)
  const handle = openSync(file, 'r')
  for (let read = readSync(handle, buffer, overlap, CHUNK, null); read > 0; ) {
    const part = buffer.subarray(0, overlap + read)
    for (const text of texts) if (part.includes(text)) found.add(text)
    buffer.copyWithin(0, read, overlap + read)
    read = readSync(handle, buffer, overlap, CHUNK, null)
  }
  closeSync(handle)
  return [...found]
}
