// A name and what is known under it, for lists of facts.
import type { ComponentChildren } from 'preact'

export const Fact = ({ name, children }: { name: string; children: ComponentChildren }) => (
  <>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </>
)
