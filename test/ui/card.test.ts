// The file that the page writes is read by the board's own reader, whatever a network is called.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cardIn, cardLink, cardText, isReachable } from '../../console/ui/card.ts'
import { readEnrolmentFile } from '../../firmware-scripts/boot/enrolment-file.ts'

const CONSOLE = { console: 'http://192.168.1.2:8080', token: 'bre_abc' }
const ssid = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 32 })
  .filter((text) => Buffer.byteLength(text) <= 32 && !/\p{Cc}/u.test(text) && text.trim() === text)
const password = fc.string({ unit: 'grapheme-ascii', minLength: 8, maxLength: 63 })

describe('the file for a card', () => {
  it('is read by a board as it was meant', () => {
    fc.assert(
      fc.property(ssid, password, fc.option(fc.constantFrom('DE', 'US')), (network, secret, country) => {
        const wifi = { ssid: network, password: secret, ...(country && { country }) }
        const card = { ...CONSOLE, name: 'porch-2', wifi }
        expect(readEnrolmentFile(cardText(card))).toEqual({ ok: true, file: card })
      }),
    )
  })

  it('says nothing of what was not filled in', () => {
    expect(readEnrolmentFile(cardText(CONSOLE))).toEqual({ ok: true, file: CONSOLE })
  })

  it('survives the way through a link', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const link = cardLink('http://10.0.0.2:8080/', text)
        expect(link).toMatch(/^http:\/\/10\.0\.0\.2:8080\/add-board#card=[\w-]*$/)
        expect(cardIn(new URL(link).hash)).toBe(text)
      }),
    )
    expect(cardIn('#card=%%%')).toBeUndefined()
    expect(cardIn('#token=x')).toBeUndefined()
  })

  it('knows an address that no board can reach', () => {
    for (const host of ['127.0.0.1', '127.9.0.1', 'localhost', '[::1]'])
      expect(isReachable(`http://${host}:8080`)).toBe(false)
    for (const host of ['10.0.0.2', 'console.lan', '[fd00::1]']) expect(isReachable(`http://${host}:8080`)).toBe(true)
  })
})
