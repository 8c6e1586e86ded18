// Must be imported before uPlot, which asks Intl for navigator.language while it loads and throws on one that Intl does not
// know. Chromium on a machine with LANG=C calls itself `en-US@posix`; without this the whole page would stay white.
try {
  new Intl.NumberFormat(navigator.language)
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en-US' })
}
