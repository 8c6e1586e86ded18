// Three words for a board ("quiet-amber-heron"): people remember and say them; the device id stays the key. The words
// follow from the id, so the same board has the same name everywhere; there are 262,144 of them.
import { createHash } from 'node:crypto'

const words = (text: string): readonly string[] => text.trim().split(/\s+/)

const MANNERS = words(`
  able agile airy alert amused apt awake bold brave breezy bright brisk calm candid careful cheery civil clear clever
  cosy crisp curious daring deft eager early easy fair fleet fond frank free fresh gentle glad grand happy hardy honest
  humble jolly keen kind lively loyal lucky mellow merry mild neat nimble noble patient polite proud quick quiet ready
  sleek snug spry steady swift wise
`)

const HUES = words(`
  almond amber apple apricot ash azure barley basil birch bronze cedar cherry clay clover cobalt copper coral cotton
  cream ebony elder fern flint garnet ginger golden granite hazel heather honey indigo iron ivory ivy jade juniper
  lemon lilac lime linen maple marble mint moss nutmeg oak olive opal pearl pepper pine plum quartz rose ruby rust
  saffron sage sand scarlet silver slate teal walnut
`)

const ANIMALS = words(`
  badger bat beaver bee bison bittern bullfinch carp cat chough crane cricket crow curlew deer dipper dove duck eagle
  egret falcon ferret finch fox frog gecko goose grouse hare hawk heron hedgehog jay kestrel kite lark linnet lizard
  lynx magpie marten martin mole moth newt otter owl perch pike plover puffin rabbit raven robin salmon seal shrew
  snipe sparrow squirrel swallow swan toad wren
`)

/** The name of a device id; `attempt` 1, 2, … are the next ones to try when another board already has it. */
export function nameOf(deviceId: string, attempt = 0): string {
  const hash = createHash('sha256')
    .update(attempt === 0 ? deviceId : `${deviceId}#${attempt}`)
    .digest()
  return [MANNERS, HUES, ANIMALS].map((list, index) => list[hash.readUInt16BE(index * 2) % list.length]).join('-')
}
