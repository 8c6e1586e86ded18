// Addresses as a board elsewhere must dial them: what we listen on is not always what can be reached.
import { networkInterfaces } from 'node:os'

/** The first address of this machine that is not loopback. */
function ownAddress(): string | undefined {
  for (const addresses of Object.values(networkInterfaces()))
    for (const { family, internal, address } of addresses ?? []) if (family === 'IPv4' && !internal) return address
  return undefined
}

const ANY = new Set(['0.0.0.0', '[::]', '::'])

/** As it is dialled from this machine: "all interfaces" is no address. */
export const dialable = (url: string): string => url.replace(/^(\w+:\/\/)(0\.0\.0\.0|\[::\])(:\d+)$/, '$1127.0.0.1$3')

/** `url` with a host that others can dial: that of `publicUrl`, or this machine's when we listen on all interfaces. */
export function reachable(url: string, host: string, publicUrl: string | undefined): string {
  const address = publicUrl === undefined ? (ANY.has(host) ? ownAddress() : undefined) : new URL(publicUrl).hostname
  return address === undefined ? url : url.replace(/^(\w+:\/\/).+(:\d+)$/, `$1${address}$2`)
}
