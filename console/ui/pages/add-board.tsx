// Add board: a token is made, and with it the file for a new card or the line for a running system; then the boards that come.
import { useSignal } from '@preact/signals'
import type { Enrollment } from '../api.ts'
import { type Card, cardIn, enrolLine } from '../card.ts'
import { CardFile, CardLink } from '../parts/card-file.tsx'
import { CopyText } from '../parts/copy.tsx'
import { type BoardWish, EnrolForm } from '../parts/enrol.tsx'
import { Berry } from '../parts/icons.tsx'
import { Newcomers } from '../parts/newcomers.tsx'
import { Moment } from '../parts/words.tsx'

interface Made {
  readonly enrollment: Enrollment
  readonly card: Card
  readonly uses: number
}

const Ways = ({ made: { enrollment, card, uses } }: { made: Made }) => (
  <>
    <p class="note tone-ok">
      The token is shown only now, lets {uses === 1 ? 'one board' : `${uses} boards`} in, and ends{' '}
      <Moment at={enrollment.expiresAt} />.
    </p>
    <div class="ways">
      <section class="card panel" aria-label="On a card">
        <h2>A card for a new board</h2>
        <p>
          Write Raspberry Pi OS with the agent onto the card, then copy this file to its small boot partition, the one
          that a PC or a Mac shows. At its first start the board joins, and erases the secrets.
        </p>
        <CardFile card={card} />
        <CardLink card={card} />
      </section>
      <section class="card panel" aria-label="On a running system">
        <h2>A system that runs</h2>
        <p>With the agent’s package installed, run this on the board. Its service starts by itself.</p>
        <CopyText text={`sudo ${enrolLine(card)}`} label="the command" />
        <p>In a copy of the source:</p>
        <CopyText text={`npx ${enrolLine(card)} && npx bramble-agent run`} label="the command for the source" />
      </section>
    </div>
    <Newcomers since={enrollment} />
  </>
)

export function AddBoardPage() {
  const made = useSignal<Made | undefined>(undefined)
  const keep = (enrollment: Enrollment, { uses, name, wifi }: BoardWish) => {
    const { console: url, token } = enrollment
    made.value = { enrollment, uses, card: { console: url, token, name, wifi } }
  }
  return (
    <>
      <div class="page-head">
        <h1>Add board</h1>
      </div>
      <EnrolForm onMade={keep} />
      <div aria-live="polite">{made.value && <Ways key={made.value.enrollment.token} made={made.value} />}</div>
    </>
  )
}

/** What the QR code leads to: the same file on another device, which need not know the console's token. */
export function CardPage() {
  const text = cardIn(location.hash)
  return (
    <main class="login">
      <section class="card">
        <h1>
          <Berry />A card for a new board
        </h1>
        {text === undefined ? (
          <p class="note tone-bad" role="alert">
            This link is damaged: scan the code on the page “Add board” again.
          </p>
        ) : (
          <>
            <p>Copy this file to the small boot partition of the board’s card, then start the board with it.</p>
            <CardFile text={text} />
          </>
        )}
      </section>
    </main>
  )
}
