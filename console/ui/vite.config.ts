// How the page is built: from this folder into ./dist, as plain files that a `self`-only content security policy allows.
import preact from '@preact/preset-vite'
import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  plugins: [preact({ devToolsEnabled: false, reactAliasesEnabled: false })],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // light-dark() and nesting stay as written: the page asks for a browser of 2024 or newer.
    target: 'esnext',
    // Nothing becomes a data: URI or an inline script; both would need holes in the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    // `npx vite --config console/ui/vite.config.ts` beside a running `npm start`.
    proxy: { '/api': 'http://127.0.0.1:8080', '/enroll': 'http://127.0.0.1:8080' },
  },
})
