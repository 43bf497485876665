import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { startServer } from '../support/server.ts'

const ALLOWED = 'https://app.example.com'
const server = await startServer(t)
const port = Number(new URL(server.url).port)

/** Sends bytes, waits until the server ends the connection, and splits what it said into answers. */
async function send(request: string, to = port): Promise<Answer[]> {
  const socket = connect(to, '127.0.0.1')
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  // After an error the server may reset the connection instead of ending it.
  socket.on('error', () => {})
  socket.write(request)
  await once(socket, 'close')
  return received
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .filter(Boolean)
    .map(parse)
}

interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test reads any answer of the server
  body: any
}

function parse(text: string): Answer {
  const [head = '', body = ''] = text.split('\r\n\r\n')
  const [line = '', ...headers] = head.split('\r\n')
  return {
    status: Number(line.split(' ')[1]),
    headers: new Headers(headers.map((header) => header.split(': ', 2) as [string, string])),
    body: body.startsWith('{') ? JSON.parse(body) : body,
  }
}

const head = (line: string, ...headers: string[]) => `${[line, 'Host: x', ...headers].join('\r\n')}\r\n\r\n`

/** Nothing that hooks add to other answers may be missing. */
function checkAnswer(
  t: Test,
  [answer, ...more]: Answer[],
  status: number,
  code: string,
  origin: string | null,
) {
  t.same(more, [], 'one answer')
  t.match(answer, { status, body: { status, code, type: `urn:ratchet:problem:${code}` } })
  const header = (name: string) => answer?.headers.get(name)
  t.equal(header('content-type'), 'application/problem+json')
  t.equal(header('x-request-id'), answer?.body.request_id)
  t.equal(header('cache-control'), 'no-store')
  t.equal(header('x-content-type-options'), 'nosniff')
  t.match(header('content-security-policy'), /default-src 'none'/)
  t.match(header('vary'), /origin/i)
  t.equal(header('access-control-allow-origin'), origin)
  if (origin === ALLOWED) t.equal(header('access-control-allow-credentials'), 'true')
}

const CLOSE = 'Connection: close'
const refusals: [name: string, code: string, status: number, request: (origin: string) => string][] = [
  ['a malformed URL', 'validation_failed', 400, (origin) => head('GET /%zz HTTP/1.1', CLOSE, origin)],
  [
    'a parameter that is too long',
    'validation_failed',
    400,
    (origin) => head(`DELETE /auth/sessions/${'a'.repeat(200)} HTTP/1.1`, CLOSE, origin),
  ],
  ['no Host', 'validation_failed', 400, (origin) => `GET /healthz HTTP/1.1\r\n${CLOSE}\r\n${origin}\r\n\r\n`],
  ['an unknown method', 'validation_failed', 400, (origin) => head('BREW /healthz HTTP/1.1', origin)],
  [
    'a malformed header',
    'validation_failed',
    400,
    (origin) => head('GET /healthz HTTP/1.1', origin, 'a b: c'),
  ],
  [
    'two lengths',
    'validation_failed',
    400,
    (origin) =>
      head('POST /auth/refresh HTTP/1.1', origin, 'Content-Length: 1', 'Transfer-Encoding: chunked'),
  ],
  [
    'large headers',
    'headers_too_large',
    431,
    (origin) => head('GET /healthz HTTP/1.1', origin, `X: ${'a'.repeat(20_000)}`),
  ],
  [
    'large headers before the origin',
    'headers_too_large',
    431,
    (origin) => head('GET /healthz HTTP/1.1', `X: ${'a'.repeat(20_000)}`, origin),
  ],
  ['a tunnel', 'method_not_allowed', 405, (origin) => head('CONNECT example.com:443 HTTP/1.1', origin)],
  [
    'a malformed chunk of a body',
    'validation_failed',
    400,
    (origin) =>
      `${head('POST /auth/refresh HTTP/1.1', origin, 'Content-Type: application/json', 'Transfer-Encoding: chunked')}zz\r\n`,
  ],
]

for (const [name, code, status, request] of refusals) {
  t.test(`${name}: a problem document with the headers of every answer`, async (t) => {
    checkAnswer(t, await send(request(`Origin: ${ALLOWED}`)), status, code, ALLOWED)
    checkAnswer(t, await send(request('Origin: https://evil.example.com')), status, code, null)
    checkAnswer(t, await send(request('Origin: null')), status, code, null)
  })
}

t.test('a request that does not arrive in time is told so, wherever it stops', async (t) => {
  const { url, app } = await startServer(t)
  Object.assign(app.server, { requestTimeout: 100, headersTimeout: 100 })
  const to = Number(new URL(url).port)
  const json = ['Content-Type: application/json', 'Content-Length: 99']
  for (const origin of [ALLOWED, 'https://evil.example.com']) {
    const answers = await send(`${head('POST /auth/login HTTP/1.1', ...json, `Origin: ${origin}`)}{`, to)
    checkAnswer(t, answers, 408, 'request_timeout', origin === ALLOWED ? origin : null)
    t.equal(answers[0]?.headers.get('connection'), 'close')
  }
  // The header Origin may still be to come: the answer tells nothing, so any page may read it.
  const unfinished = `POST /auth/login HTTP/1.1\r\nHost: x\r\nOrigin: ${ALLOWED}\r\n`
  for (const start of ['POST', unfinished]) {
    const answers = await send(start, to)
    checkAnswer(t, answers, 408, 'request_timeout', '*')
    t.equal(answers[0]?.headers.get('connection'), 'close')
  }
})

t.test('a connection on which nothing was sent ends without an answer', async (t) => {
  const node = await startServer(t)
  Object.assign(node.app.server, { headersTimeout: 1, requestTimeout: 1 })
  // A proxy that opened it ahead would take an answer for that to its first request.
  t.strictSame(await send('', Number(new URL(node.url).port)), [])
})

t.test('an unknown expectation is ignored', async (t) => {
  const [answer] = await send(head('GET /healthz HTTP/1.1', 'Expect: a-miracle', CLOSE))
  t.match(answer, { status: 200, body: { status: 'ok' } })
})

t.test('a browser gets a page for a malformed URL', async (t) => {
  const [answer] = await send(head('GET /%zz HTTP/1.1', 'Accept: text/html', CLOSE))
  t.match(answer, { status: 400, body: /<h1>/ })
  t.match(answer?.headers.get('content-type'), /^text\/html/)
})

t.test('what cannot be read after an answered request is refused by itself', async (t) => {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  socket.write(head('GET /healthz HTTP/1.1'))
  await once(socket, 'data')
  socket.write('\x00\r\n\r\n')
  await once(socket, 'close')
  t.match(received.match(/HTTP\/1\.1 \d{3} /g), ['HTTP/1.1 200 ', 'HTTP/1.1 400 '])
})

t.test('what follows a request cannot change its answer', async (t) => {
  const body = JSON.stringify({ email: 'nobody@example.com', password: 'a wrong passphrase' })
  const login = head(
    'POST /auth/login HTTP/1.1',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
  )
  const answers = await send(`${login}${body}\x00garbage\r\n\r\n`)
  t.match(answers, [{ status: 401, body: { code: 'invalid_credentials' } }])
  t.equal(answers.length, 1)
})
