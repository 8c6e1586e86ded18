// Which integer kernels a CPU has: that, not its name, decides the bits of an int8 answer (design.md section 6).

export interface CpuClass {
  /** `x64-vnni`, `x64`, `arm64-dotprod`, `arm64`, or the bare architecture elsewhere. */
  readonly name: string
  /** x86 without VNNI saturates U8S8 products unless `session.x64quantprecision` is on; with VNNI it only costs time. */
  readonly needsQuantPrecision: boolean
}

/** `cpuinfo` is the text of /proc/cpuinfo, empty where there is none: then VNNI counts as missing (right bits, slower). */
export function cpuClassOf(arch: string, cpuinfo: string): CpuClass {
  const flags = new Set((/^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1] ?? '').trim().split(/\s+/))
  if (arch === 'x64') {
    const vnni = flags.has('avx512_vnni') || flags.has('avx_vnni')
    return { name: vnni ? 'x64-vnni' : 'x64', needsQuantPrecision: !vnni }
  }
  if (arch === 'arm64') return { name: flags.has('asimddp') ? 'arm64-dotprod' : 'arm64', needsQuantPrecision: false }
  return { name: arch, needsQuantPrecision: false }
}
