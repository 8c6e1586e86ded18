// bramble.toml to keep, and the same as a QR code, for when the card is written on another device than the one in front of you.
import { encode } from 'uqr'
import { type Card, cardLink, cardText, isReachable } from '../card.ts'
import { save } from './download.tsx'
import { Icon } from './icons.tsx'

const NAME = 'bramble.toml'

export function CardFile(given: { card: Card } | { text: string }) {
  const text = 'card' in given ? cardText(given.card) : given.text
  return (
    <button type="button" class="button primary" onClick={() => save(new Blob([text], { type: 'text/plain' }), NAME)}>
      <Icon name="download" />
      Download {NAME}
    </button>
  )
}

/** Dark modules as one path: a square each. */
function pathOf(text: string): { readonly size: number; readonly path: string } {
  const { size, data } = encode(text, { border: 4 })
  const squares = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : '')))
  return { size, path: squares.join('') }
}

/** The code leads to a page of this console, so there is none where nobody else can reach it. */
export function CardLink({ card }: { card: Card }) {
  if (!isReachable(card.console))
    return (
      <p class="note tone-warn">
        No board can reach {card.console}: this console listens to its own machine only. Start it with{' '}
        <code>--host 0.0.0.0</code>, and make the file again.
      </p>
    )
  const { size, path } = pathOf(cardLink(card.console, cardText(card)))
  return (
    <figure class="qr">
      <svg viewBox={`0 0 ${size} ${size}`} role="img" aria-label="QR code that opens this file on another device">
        <path d={path} />
      </svg>
      <figcaption class="muted">
        Scan it to get the file on a phone or tablet. The secrets stand in the code itself: show it to nobody else.
      </figcaption>
    </figure>
  )
}
