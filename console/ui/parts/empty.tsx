// What stands where nothing is yet: one line what is missing, one line what to do.
import type { ComponentChildren } from 'preact'

export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <div class="empty">
    <p class="empty-title">{title}</p>
    {children && <div class="empty-body">{children}</div>}
  </div>
)

export const Loading = ({ what }: { what: string }) => (
  <p class="loading" role="status">
    Reading {what}…
  </p>
)
