// The page: what Vite built, served with no inline script allowed; every address of the page answers index.html.
import { readFile } from 'node:fs/promises'
import { join, normalize, sep } from 'node:path'
import { Hono } from 'hono'

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json',
  map: 'application/json',
  svg: 'image/svg+xml',
  png: 'image/png',
  jpg: 'image/jpeg',
  ico: 'image/x-icon',
  webmanifest: 'application/manifest+json',
  woff2: 'font/woff2',
}

const UNBUILT = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>Bramble</title></head>
<body><h1>The page is not built yet</h1>
<p>The console is running. <code>npm start</code> is building its page; this one reloads by itself.
With <code>bramble console</code>, run <code>npm run build</code> once.</p></body></html>
`

/** Vite puts a hash of the content into every name under assets/. */
const IMMUTABLE = 'public, max-age=31536000, immutable'

async function readInside(folder: string, path: string): Promise<Buffer | undefined> {
  const file = normalize(join(folder, path))
  if (!file.startsWith(folder + sep)) return undefined
  try {
    return await readFile(file)
  } catch {
    // No such file, or a folder: both mean that there is nothing to serve here.
    return undefined
  }
}

/** `dist` is an absolute folder; it may appear, or change, while the console runs. */
export const pageRoutes = (dist: string) =>
  new Hono().get('/*', async (c) => {
    const path = decodePath(c.req.path)
    const name = path?.split('/').at(-1) ?? ''
    if (path !== undefined && name.includes('.')) {
      const bytes = await readInside(dist, path)
      if (bytes === undefined) return c.text('There is no such file.', 404)
      return c.body(new Uint8Array(bytes), 200, {
        'content-type': TYPES[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream',
        'cache-control': path.startsWith('/assets/') ? IMMUTABLE : 'no-cache',
      })
    }
    const index = await readInside(dist, 'index.html')
    return c.html(index === undefined ? UNBUILT : index.toString('utf8'), 200, { 'cache-control': 'no-cache' })
  })

function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
