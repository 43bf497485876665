import t from 'tap'
import { clientNameOn, formTargetsOf } from '../../src/http/interactions.ts'

const interaction = { path: '/', query: '', askedAt: 0, clientName: 'Printer', loginHint: null }

t.test('the forms of an interaction may lead to the client’s own address', async (t) => {
  const targetsFor = (uri: string) =>
    formTargetsOf({
      ...interaction,
      query: new URLSearchParams({ scope: 'a b', redirect_uri: uri }).toString(),
    })
  for (const [uri, target] of [
    ['https://app.example.com/cb?a=b', 'https://app.example.com'],
    ['https://user:secret@app.example.com:8443/cb', 'https://app.example.com:8443'],
    ['https://bücher.example/cb', 'https://xn--bcher-kva.example'],
    ['http://127.0.0.1:51234/cb', 'http://127.0.0.1:51234'],
    ['http://[::1]:51234/cb', 'http:'],
    ['com.example.app:/cb', 'com.example.app:'],
    ["https://app.example.com'; script-src *;/", undefined],
    ["https://app.example.com';script-src/", undefined],
    ['https://app.example.com,/', undefined],
    ['https://*/', undefined],
    ['javascript:alert(1)', 'javascript:'],
    ['not a url', undefined],
    ['', undefined],
  ] as const) {
    const targets = targetsFor(uri)
    t.strictSame(targets, target ? [target] : [], uri)
  }
  t.strictSame(formTargetsOf(interaction), [], 'a device has no address')
})

t.test('the name of a client neither turns the text around it, nor is turned by it', async (t) => {
  const named = (clientName: string, lang = 'en') => clientNameOn({ lang }, { ...interaction, clientName })
  t.equal(named('Grafana & Söhne 2'), 'Grafana & Söhne 2')
  t.equal(named('מדפסת'), '\u2068מדפסת\u2069')
  t.equal(named('Grafana', 'ar'), '\u2068Grafana\u2069')
  t.equal(named('Gra\u202efana\u2069'), 'Grafana')
})
