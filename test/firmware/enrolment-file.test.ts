import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readEnrolmentFile, withoutSecrets } from '../../firmware-scripts/boot/enrolment-file.ts'

const whole = `# from the console
console = "http://192.168.1.2:8080"   # here
token = 'a-token'
name = "porch-2"

[wifi]
ssid = "Grandma\\u0027s \\"net\\""
password = "eight chars"
country = "DE"
`

const faultsOf = (text: string): readonly string[] => {
  const read = readEnrolmentFile(text)
  return read.ok ? [] : read.faults
}

describe('bramble.toml', () => {
  test('is read as a person writes it', () => {
    expect(readEnrolmentFile(whole)).toEqual({
      ok: true,
      file: {
        console: 'http://192.168.1.2:8080',
        token: 'a-token',
        name: 'porch-2',
        wifi: { ssid: `Grandma's "net"`, password: 'eight chars', country: 'DE' },
      },
    })
  })

  test('may come from Windows', () => {
    expect(readEnrolmentFile(`\ufeff${whole.replaceAll('\n', '\r\n')}`)).toEqual(readEnrolmentFile(whole))
  })

  test('needs no Wi-Fi, and an empty setting is an absent one', () => {
    expect(readEnrolmentFile('console = "https://a.example"\ntoken = ""\n')).toEqual({
      ok: true,
      file: { console: 'https://a.example' },
    })
  })

  test.each([
    ['', { ssid: 'x' }],
    ['password = ""\n', 'used'],
  ])('tells an open network from a password that was erased: %j', (line, wifi) => {
    const text = `console = "https://a.example"\ntoken = "t"\n[wifi]\nssid = "x"\n${line}`
    expect(readEnrolmentFile(text)).toMatchObject({ ok: true, file: { wifi } })
  })

  test('is explained when it was saved as UTF-16', () => {
    expect(faultsOf(Buffer.from(`\ufeff${whole}`, 'utf16le').toString('utf8'))).toEqual([
      expect.stringMatching(/^the file is saved as UTF-16: save it as UTF-8/),
    ])
  })

  test.each([
    ['consol = "http://a"', /line 1: there is no setting consol; there are console, token/],
    ['console = http://a', /line 1: the value of console must stand between straight quotes/],
    ['console = “http://a”', /line 1: console stands between curly quotes/],
    ['[wifi]\nssid = "x"\ntoken = "t"', /line 3: token stands below \[wifi\]; put it above/],
    ['[wifi]\nssid = "M\ufffdller"', /line 2: wifi.ssid has a letter in another encoding: save it as UTF-8/],
    ['console = "fleet.example"', /line 1: console must be the address/],
    ['console: "http://a"', /line 1 is not understood/],
    ['token = "a"\ntoken = "b"', /line 2: token stands in line 1 already/],
    ['token = "a b"', /line 1: token must be the token as the console showed it/],
    ['name = "my board"', /line 1: name must be 1 to 63 letters/],
    ['[wlan]\nssid = "x"', /line 1: there is no part \[wlan\]/],
    ['[wifi]\nssid = "x"\npassword = "short"', /line 3: wifi.password must have 8 to 63/],
    ['[wifi]\npassword = "long enough"', /wifi.ssid is missing/],
    ['[wifi]\ncountry = "Germany"', /line 2: wifi.country must be two capital letters/],
    ['', /console is missing/],
    ['constructor = "x"', /line 1: there is no setting constructor/],
    ['console = "a\\q"', /must stand between straight quotes/],
  ])('says what is wrong with %j', (text, sentence) => {
    expect(faultsOf(text)).toContainEqual(expect.stringMatching(sentence))
  })

  test('does not miss what stands in the wrong place, nor mind the encoding of a comment', () => {
    expect(faultsOf('# gr\ufffdn\nconsole = "http://a"\n[wifi]\nssid = "x"\ntoken = "t"')).toHaveLength(1)
  })

  test('says every fault at once', () => {
    expect(faultsOf('console = 1\nfoo = "x"\n')).toHaveLength(3)
  })

  test('never throws, and never shows a secret in a fault', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const read = readEnrolmentFile(`token = "hush hush"\n${text}`)
        expect(read.ok ? '' : read.faults.join()).not.toContain('hush')
      }),
    )
  })
})

describe('erasing the secrets', () => {
  test('leaves everything else, readable and as long as before', () => {
    const after = withoutSecrets(whole)
    expect(Buffer.byteLength(after)).toBe(Buffer.byteLength(whole))
    expect(after).not.toMatch(/a-token|eight chars/)
    expect(readEnrolmentFile(after)).toMatchObject({
      ok: true,
      file: { console: 'http://192.168.1.2:8080', name: 'porch-2', wifi: 'used' },
    })
  })

  test('keeps the length whatever the secret is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (secret) => {
        const text = `console = "http://a"\r\ntoken = ${JSON.stringify(secret)} # from "here"\r\n`
        const after = withoutSecrets(text)
        expect(Buffer.byteLength(after)).toBe(Buffer.byteLength(text))
        expect(after).toContain('token = ""')
      }),
      // Line ends to Unicode, not to TOML.
      { examples: [['a\u2028b'], ['a\u2029b']] },
    )
  })
})
