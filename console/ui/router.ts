// Moving between the pages without a reload: the history API, and links that stay links.
import { signal } from '@preact/signals'
import { parsePath, type Route } from './addresses.ts'

export const route = signal<Route>({ page: 'overview' })

export function navigate(path: string): void {
  history.pushState(null, '', path)
  route.value = parsePath(path)
}

/** Links stay ordinary links (middle click, copy, keyboard); a plain click on one of ours changes only the page. */
function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return
  const link = event.target instanceof Element ? event.target.closest('a') : null
  if (link?.target !== '' || link.origin !== location.origin) return
  if (link.hash !== '' && link.pathname === location.pathname) return
  event.preventDefault()
  if (link.pathname === location.pathname) return
  const samePage = parsePath(link.pathname).page === route.value.page
  navigate(link.pathname)
  if (!samePage) scrollTo(0, 0)
}

export function startRouter(): void {
  route.value = parsePath(location.pathname)
  addEventListener('popstate', () => {
    route.value = parsePath(location.pathname)
  })
  document.addEventListener('click', followLink)
}
