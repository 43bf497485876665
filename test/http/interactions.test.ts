import t from 'tap'
import { clientNameOn, formTargetsOf } from '../../src/http/interactions.ts'

const interaction = { path: '/', query: '', clientName: 'Printer', loginHint: null }

t.test('the forms of an interaction may lead to the client, and on to its pages', async (t) => {
  const query = (uri: string) => new URLSearchParams({ scope: 'a b', redirect_uri: uri }).toString()
  for (const [uri, targets] of [
    ['https://app.example.com/cb?a=b', ['https:']],
    ['http://127.0.0.1:51234/cb', ['http:']],
    ['http://[::1]:51234/cb', ['http:']],
    ['com.example.app:/cb', ['com.example.app:']],
    ["https://app.example.com';script-src/", ['https:']],
    ['javascript:alert(1)', []],
    ["not-a-scheme;script-src *:'", []],
    ['not a url', []],
    ['', ['http:']],
  ] as const) {
    t.strictSame(formTargetsOf({ ...interaction, query: query(uri) }), targets, uri)
    if (uri) t.strictSame(formTargetsOf({ ...interaction, redirectUri: uri }), targets, uri)
  }
})

t.test('the name of a client neither turns the text around it, nor is turned by it', async (t) => {
  const named = (clientName: string, lang = 'en') => clientNameOn({ lang }, { ...interaction, clientName })
  t.equal(named('Grafana & Söhne 2'), 'Grafana & Söhne 2')
  t.equal(named('מדפסת'), '\u2068מדפסת\u2069')
  t.equal(named('Grafana', 'ar'), '\u2068Grafana\u2069')
  t.equal(named('Gra\u202efana\u2069'), 'Grafana')
})
