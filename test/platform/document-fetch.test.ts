import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { createFetchDocument, FetchError, type FetchOptions } from '../../src/platform/document-fetch.ts'
import { askDns } from '../../src/platform/foreign-host.ts'
import { makeCertificates, noOpenssl } from '../support/certificates.ts'
import { startDnsServer } from '../support/dns-server.ts'
import { startDocumentServer } from '../support/document-server.ts'

const web = await startDocumentServer(t)
const TYPES = ['application/json']

function fetching(url: string, options: Partial<FetchOptions> = {}, signal = AbortSignal.timeout(5_000)) {
  const fetchDocument = createFetchDocument({ allowsPrivate: true, ...options })
  return fetchDocument(new URL(url), { types: TYPES, signal })
}

async function faultOf(fetched: Promise<unknown>): Promise<string> {
  const error = await fetched.then(
    () => new Error('it was fetched'),
    (error: Error) => error,
  )
  return error instanceof FetchError ? error.fault : String(error)
}

t.test('a document is read, with what its cache may do', async (t) => {
  for (const [control, maxAge] of [
    [undefined, null],
    ['public, max-age=600', 600],
    ['max-age=600, no-store', 0],
    ['no-cache', 0],
  ] as const) {
    web.documents.set('/a', (_request, response) => {
      response.writeHead(200, {
        'content-type': 'Application/JSON; charset=utf-8',
        ...(control ? { 'cache-control': control } : {}),
      })
      response.end('{"a":1}')
    })
    t.same(await fetching(`${web.origin}/a`), { json: { a: 1 }, maxAge })
  }
})

t.test('what is no small JSON document is refused', async (t) => {
  const answers: Record<string, [status: number, headers: Record<string, string>, body: string | Buffer]> = {
    '/redirect': [302, { location: `${web.origin}/a`, 'content-type': 'application/json' }, '{}'],
    '/missing': [404, { 'content-type': 'application/json' }, '{}'],
    '/html': [200, { 'content-type': 'text/html' }, '{}'],
    '/typeless': [200, {}, '{}'],
    '/compressed': [
      200,
      { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      gzipSync(JSON.stringify({ a: ' '.repeat(10_000_000) })),
    ],
    '/large': [200, { 'content-type': 'application/json', 'content-length': '6000' }, ' '.repeat(6_000)],
    '/chunked': [
      200,
      { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
      ' '.repeat(6_000),
    ],
    '/broken': [200, { 'content-type': 'application/json' }, '{"a":'],
    '/latin': [200, { 'content-type': 'application/json' }, Buffer.from([0x22, 0xe9, 0x22])],
  }
  const faults = Object.entries(answers).map(async ([path, [status, headers, body]]) => {
    web.documents.set(path, (_request, response) => void response.writeHead(status, headers).end(body))
    return [path, await faultOf(fetching(web.origin + path))]
  })
  t.same(Object.fromEntries(await Promise.all(faults)), {
    '/redirect': 'wrong_status',
    '/missing': 'wrong_status',
    '/html': 'wrong_type',
    '/typeless': 'wrong_type',
    '/compressed': 'wrong_type',
    '/large': 'too_large',
    '/chunked': 'too_large',
    '/broken': 'not_json',
    '/latin': 'not_json',
  })
})

t.test('names are looked up by DNS, in IPv4 and IPv6', async (t) => {
  const dns = await startDnsServer(t, {
    'both.test': ['2001:db8::1', '192.0.2.1', '192.0.2.2'],
    'four.test': ['192.0.2.1'],
    'six.test': ['2001:db8::1'],
    'none.test': [],
  })
  t.same([...(await askDns('both.test', [dns]))].sort(), ['192.0.2.1', '192.0.2.2', '2001:db8::1'])
  t.same(await askDns('four.test', [dns]), ['192.0.2.1'])
  t.same(await askDns('six.test', [dns]), ['2001:db8::1'])
  await t.rejects(askDns('none.test', [dns]))
  await t.rejects(askDns('unknown.test', [dns]))
  const resolve = (host: string) => askDns(host, [dns])
  const inProduction = { allowsPrivate: false, resolve }
  t.equal(await faultOf(fetching('https://both.test/a', inProduction)), 'address_not_public')
  t.equal(await faultOf(fetching('https://unknown.test/a', inProduction)), 'unreachable')
  t.equal(await faultOf(fetching('ftp://both.test/a', inProduction)), 'address_not_public')
})

t.test('one deadline holds for the name, the headers and the body', async (t) => {
  const timers: NodeJS.Timeout[] = []
  t.teardown(() => timers.forEach(clearInterval))
  web.documents.set('/slow', (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    timers.push(setInterval(() => response.write(' '), 20))
  })
  web.documents.set('/silent', () => {})
  const soon = () => AbortSignal.timeout(200)
  t.equal(await faultOf(fetching(`${web.origin}/slow`, {}, soon())), 'too_slow')
  t.equal(await faultOf(fetching(`${web.origin}/silent`, {}, soon())), 'too_slow')
  const resolve = () => new Promise<never>(() => {})
  t.equal(await faultOf(fetching('https://client.test/a', { resolve }, soon())), 'too_slow')
})

t.test('no address that is not public is connected to', async (t) => {
  const before = web.asked.length
  const inProduction = (answers: readonly string[], url = `https://client.test:${web.port}/a`) =>
    faultOf(fetching(url, { allowsPrivate: false, resolve: async () => answers }))
  for (const address of ['127.0.0.1', '169.254.169.254', '10.0.0.1', '::1', 'fd00::1', '::ffff:127.0.0.1'])
    t.equal(await inProduction([address]), 'address_not_public', address)
  t.equal(await inProduction(['93.184.216.34', '127.0.0.1']), 'address_not_public', 'one of several')
  t.equal(await inProduction([]), 'unreachable')
  for (const host of [
    '127.0.0.1',
    '[::1]',
    '[::ffff:7f00:1]',
    '2130706433',
    '0x7f.1',
    'localhost',
    '[fe80::1]',
  ])
    t.equal(
      await inProduction(['93.184.216.34'], `https://${host}:${web.port}/a`),
      'address_not_public',
      host,
    )
  t.equal(await inProduction(['93.184.216.34'], `${web.origin}/a`), 'address_not_public', 'plain http')
  t.equal(web.asked.length, before)
})

t.test('the connection goes to the address that was checked', { skip: noOpenssl }, async (t) => {
  const { ca, cert, key } = await makeCertificates(t, 'DNS:client.test')
  const asked: string[] = []
  const tls = { cert: readFileSync(cert), key: readFileSync(key) }
  const secure = createServer(tls, ({ headers }, response) => {
    asked.push(headers.host ?? '')
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
  t.teardown(() => secure.close())
  const { port } = secure.address() as AddressInfo
  const answers = ['127.0.0.1', '127.0.0.99', '127.0.0.99']
  let times = 0
  const resolve = async () => [answers[times++] as string]
  t.match(await fetching(`https://client.test:${port}/a`, { resolve, ca }), { json: {} })
  t.equal(times, 1, 'the name is looked up once')
  t.same(asked, [`client.test:${port}`])
  const always = async () => ['127.0.0.1']
  t.equal(await faultOf(fetching(`https://other.test:${port}/a`, { resolve: always, ca })), 'unreachable')
  t.equal(await faultOf(fetching(`https://client.test:${port}/a`, { resolve: always })), 'unreachable')
})
