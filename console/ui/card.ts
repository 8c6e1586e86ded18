// How a board is let in: bramble.toml, the file that it takes from its boot partition, and the line for a running system. Written in
// the browser: the Wi-Fi password never leaves it. The file is read by firmware-scripts/boot/enrolment-file.ts.

export interface Card {
  /** http(s)://host:port of the console. */
  readonly console: string
  readonly token: string
  readonly name?: string | undefined
  readonly wifi?: { readonly ssid: string; readonly password?: string; readonly country?: string } | undefined
}

const quoted = (value: string): string =>
  `"${value.replace(/["\\]/g, (sign) => `\\${sign}`).replace(/\p{Cc}/gu, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`

const line = (key: string, value: string | undefined): string => (value ? `${key} = ${quoted(value)}\n` : '')

/** Lines end as Windows' editors want them. */
export function cardText({ console: url, token, name, wifi }: Card): string {
  const network = wifi
    ? `\n[wifi]\n${line('ssid', wifi.ssid)}${line('password', wifi.password)}${line('country', wifi.country)}`
    : ''
  return `# Put this file onto the boot partition of the card. It works once; its secrets are erased then.\n${line('console', url)}${line('token', token)}${line('name', name)}${network}`.replaceAll(
    '\n',
    '\r\n',
  )
}

/** For a system that runs. `name` is letters, digits and hyphens, as the form demands: nothing for a shell to find. */
export const enrolLine = ({ console: url, token, name }: Card): string =>
  `bramble-agent enroll --console ${url} --token ${token}${name ? ` --name ${name}` : ''}`

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/

/** A board cannot reach a console that only listens to its own machine. */
export const isReachable = (url: string): boolean => !LOOPBACK.test(URL.parse(url)?.hostname ?? 'localhost')

const AFTER_HASH = 'card'

/** A page that offers this file to whoever opens it. What stands after # is not sent to any server. */
export const cardLink = (url: string, text: string): string => {
  const bytes = String.fromCodePoint(...new TextEncoder().encode(text))
  const packed = btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
  return `${url.replace(/\/$/, '')}/add-board#${AFTER_HASH}=${packed}`
}

/** The file in such a link; undefined where there is none, or it is damaged. */
export function cardIn(hash: string): string | undefined {
  const packed = new URLSearchParams(hash.slice(1)).get(AFTER_HASH)
  if (packed === null) return undefined
  try {
    const bytes = atob(packed.replaceAll('-', '+').replaceAll('_', '/'))
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes, (sign) => sign.codePointAt(0) ?? 0))
  } catch {
    return undefined
  }
}
