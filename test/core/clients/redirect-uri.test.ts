import fc from 'fast-check'
import t from 'tap'
import { isValidRedirectUri, matchesRedirectUri } from '../../../src/core/clients/clients.ts'
import { redirectUriFault, webUriFault } from '../../../src/core/clients/redirect-uri.ts'
import { check } from '../../support/property.ts'

const GOOD = [
  'https://app.example.com/callback',
  'https://app.example.com',
  'https://app.example.com/',
  'https://app.example.com:8443/callback?tenant=a%2Fb&x=..',
  'https://xn--bcher-kva.example/callback',
  'https://app.example.com/a..b/...',
  'http://127.0.0.1/callback',
  'http://127.0.0.1:4711/callback',
  'http://[::1]/callback',
  'http://localhost:3000/callback?a=b',
  'https://[2001:db8::1]/callback',
  'com.example.app:/callback',
  'com.example.app://callback',
]

const BAD: readonly (readonly [uri: string, says: RegExp])[] = [
  ['', /URI/],
  ['/callback', /absolute URI/],
  ['//app.example.com/callback', /absolute URI/],
  ['app.example.com/callback', /absolute URI/],
  ['http://app.example.com/callback', /must begin with https/],
  ['http://localhost.example.com/callback', /must begin with https/],
  ['http://127.0.0.1.example.com/callback', /must begin with https/],
  ['http://127.0.0.2/callback', /must begin with https/],
  ['http://0.0.0.0/callback', /must begin with https/],
  ['http://app.localhost/callback', /must begin with https/],
  ['http://2130706433/callback', /must be written as http:\/\/127\.0\.0\.1\/callback/],
  ['http://[::ffff:127.0.0.1]/callback', /must be/],
  ['https://APP.example.com/callback', /must be written as https:\/\/app\.example\.com\/callback/],
  ['HTTPS://app.example.com/callback', /must be written as/],
  ['https://app.example.com:443/callback', /must be written as/],
  ['https://app.example.com?a=b', /must be written as https:\/\/app\.example\.com\/\?a=b/],
  ['https:/app.example.com/callback', /absolute URI/],
  ['https:app.example.com/callback', /absolute URI/],
  ['https:///app.example.com/callback', /must be|absolute/],
  ['https://', /absolute URI/],
  ['https://app.example.com/callback#', /no fragment/],
  ['https://app.example.com/callback#x', /no fragment/],
  ['https://user@app.example.com/callback', /no user information/],
  ['https://user:password@app.example.com/callback', /no user information/],
  ['https://app.example.com@evil.example/callback', /no user information/],
  ['com.example.app://user@host/callback', /no user information/],
  ['https://*.example.com/callback', /no wildcards/],
  ['https://app.example.com/*', /no wildcards/],
  ['https://app.example.com:*/callback', /no wildcards/],
  ['https://app.example.com/a/../callback', /no \. or \.\./],
  ['https://app.example.com/..', /no \. or \.\./],
  ['https://app.example.com/a/./callback', /no \. or \.\./],
  ['https://app.example.com/a/..;/callback', /no \. or \.\./],
  ['https://app.example.com/a/..;x=y/callback', /no \. or \.\./],
  ['com.example.app:/a/../callback', /no \. or \.\./],
  ['https://app.example.com/%2e%2e/callback', /no encoded dot/],
  ['https://app.example.com/.%2E/callback', /no encoded dot/],
  ['https://app.example.com/a%2f..%2fcallback', /no encoded dot/],
  ['https://app.example.com/a%5ccallback', /no encoded dot/],
  ['https://app.example.com/%252e%252e/callback', /no encoded dot/],
  ['https://app.example.com\\@evil.example/', /only the characters/],
  ['https://app.example.com/a\\..\\callback', /only the characters/],
  ['https://app.example.com/call back', /only the characters/],
  [' https://app.example.com/callback', /only the characters/],
  ['https://app.example.com/callback\n', /only the characters/],
  ['https://app.example.com/\tcallback', /only the characters/],
  ['https://app.example.com/callback\0', /only the characters/],
  ['https://bücher.example/callback', /only the characters/],
  ['https://app.example.com/%zz', /only the characters/],
  ['https://app.example.com/%', /only the characters/],
  ['https://app.example.com/"><script>', /only the characters/],
  ['https://app.example.com/callback?a=%0d%0aSet-Cookie:x', /no control characters/],
  ['https://app.example.com/%00', /no control characters/],
  ['https://app.example.com/%7f', /no control characters/],
  [`https://app.example.com/${'a'.repeat(2_000)}`, /at most 2000/],
  ['javascript:alert(1)', /in reverse/],
  ['JavaScript:alert(1)', /in reverse/],
  ['data:text/html,x', /in reverse/],
  ['vbscript:x', /in reverse/],
  ['file:///etc/passwd', /in reverse/],
  ['blob:https://app.example.com/1', /in reverse/],
  ['about:blank', /in reverse/],
  ['ws://app.example.com/', /in reverse/],
  ['myapp:/callback', /in reverse/],
  ['urn:ietf:wg:oauth:2.0:oob', /in reverse/],
  ['com.example.app:callback', /must go on with a path/],
  ['com.example.app:', /must go on with a path/],
  ['Com.Example.App:/callback', /lower case/],
  ['.com:/callback', /absolute URI/],
]

t.test('what may be registered, and what is wrong with the rest', async (t) => {
  for (const uri of GOOD) t.equal(redirectUriFault(uri), null, uri)
  for (const [uri, says] of BAD) {
    t.match(redirectUriFault(uri) ?? 'nothing', says, JSON.stringify(uri))
    t.equal(isValidRedirectUri(uri), false)
  }
  t.equal(webUriFault('https://app.example.com/'), null)
  t.match(webUriFault('com.example.app:/callback'), /absolute URI/)
})

t.test('a request names a registered redirect URI character by character', async (t) => {
  const registered = 'https://app.example.com/callback'
  t.ok(matchesRedirectUri(registered, registered))
  for (const presented of [
    `${registered}/`,
    `${registered}?`,
    `${registered}#`,
    `${registered}?x=y`,
    `${registered}/..;/evil`,
    `${registered}%2f..`,
    'https://app.example.com/Callback',
    'https://app.example.com/%63allback',
    'https://APP.example.com/callback',
    'https://app.example.com:443/callback',
    'https://app.example.com:8443/callback',
    'https://app.example.com.evil.example/callback',
    'https://app.example.com@evil.example/callback',
    'http://app.example.com/callback',
    'https://app.example.com/',
    '',
  ])
    t.notOk(matchesRedirectUri(registered, presented), presented)
  t.notOk(matchesRedirectUri('com.example.app:/callback', 'com.example.app:4711/callback'))
  t.notOk(matchesRedirectUri('https://localhost/callback', 'https://localhost:4711/callback'))
  t.notOk(matchesRedirectUri('https://127.0.0.1/callback', 'https://127.0.0.1:4711/callback'))
})

t.test('a loopback address has any port, and nothing else of its own', async (t) => {
  for (const host of ['127.0.0.1', '[::1]', 'localhost']) {
    for (const registered of [`http://${host}/callback?a=b`, `http://${host}:3000/callback?a=b`]) {
      for (const port of ['', ':80', ':1', ':51004', ':65535'])
        t.ok(matchesRedirectUri(registered, `http://${host}${port}/callback?a=b`), host + port)
      for (const presented of [
        `http://${host}:0/callback?a=b`,
        `http://${host}:65536/callback?a=b`,
        `http://${host}:/callback?a=b`,
        `http://${host}:0080/callback?a=b`,
        `http://${host}:80@evil.example/callback?a=b`,
        `http://user@${host}:80/callback?a=b`,
        `http://${host}.evil.example:80/callback?a=b`,
        `http://${host}:80.evil.example/callback?a=b`,
        `http://${host}:80\\@evil.example/callback?a=b`,
        `https://${host}:80/callback?a=b`,
        `HTTP://${host}:80/callback?a=b`,
        `http://${host}:80/callback`,
        `http://${host}:80/callback?a=b&c=d`,
        `http://${host}:80/callback?a=b#x`,
        `http://${host}:80/callback/?a=b`,
        `http://${host}:80/x/..;/callback?a=b`,
        `http://${host}:80/x/../callback?a=b`,
        `http://${host}:80/%63allback?a=b`,
        `http://${host}:80/callback?a=b\n`,
      ])
        t.notOk(matchesRedirectUri(registered, presented), presented)
    }
  }
  t.notOk(matchesRedirectUri('http://127.0.0.1/callback', 'http://localhost/callback'))
  t.notOk(matchesRedirectUri('http://localhost/callback', 'http://127.0.0.1/callback'))
  t.ok(matchesRedirectUri('http://localhost', 'http://localhost:4711/'), 'an empty path is the root')
})

const piece = fc.constantFrom(
  ...[
    'https',
    'http',
    'com.example.app',
    'javascript',
    ':',
    '//',
    '/',
    '\\',
    '@',
    '#',
    '?',
    '*',
    '..',
    '.',
    ';',
  ],
  ...[
    '%2e',
    '%2f',
    '%5c',
    '%00',
    '%0a',
    '%',
    '\n',
    '\t',
    '\0',
    ' ',
    'ü',
    '[::1]',
    '127.0.0.1',
    'localhost',
    ':80',
  ],
  ...['app.example.com', 'evil.example', 'callback', 'a=b', '&', '"', "'", '<'],
)
const uri = fc.oneof(
  fc.array(piece, { maxLength: 12 }).map((all) => all.join('')),
  fc.webUrl(),
  fc.string(),
)

t.test(
  'whatever is accepted is one URI to every reader, and matches only itself or another port',
  async (t) => {
    await check(
      t,
      fc.asyncProperty(fc.oneof(uri, fc.constantFrom(...GOOD)), uri, async (registered, presented) => {
        if (!isValidRedirectUri(registered)) return
        const url = new URL(registered)
        if (url.hash || url.username || url.password || registered.includes('#')) throw new Error('has parts')
        if (![registered, `${registered}/`].includes(url.href)) throw new Error('is written in another way')
        if (!matchesRedirectUri(registered, registered)) throw new Error('is not itself')
        for (const other of [presented, registered + presented, presented + registered]) {
          if (!matchesRedirectUri(registered, other) || other === registered) continue
          const [ours, theirs] = [new URL(registered), new URL(other)]
          ours.port = ''
          theirs.port = ''
          if (ours.href !== theirs.href || ours.protocol !== 'http:') throw new Error(`matches ${other}`)
        }
      }),
      { numRuns: 3_000 },
    )
  },
)
