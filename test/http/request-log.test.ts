import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { eventually } from '../support/eventually.ts'
import { startServer, type TestServer } from '../support/server.ts'

// biome-ignore lint/suspicious/noExplicitAny: a line may have any field
type Line = Record<string, any>

const linesOf = (server: TestServer): Line[] => server.logs.map((line) => JSON.parse(line))
const requestsOf = (server: TestServer) => linesOf(server).filter(({ msg }) => msg === 'request')
const last = (server: TestServer) => requestsOf(server).at(-1)

t.test('a request line says who it concerned, and which problem was the answer', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const { id } = await server.db.user.findFirstOrThrow()
  const session = await server.login(account)
  const who = { user_id: id, session_id: session.session.id, client_id: 'first-party' }
  t.match(last(server), { level: 'info', route: '/auth/login', status: 200, ...who, code: undefined })

  await server.call('GET', '/me', { bearer: session.access_token })
  t.match(last(server), { route: '/me', status: 200, ...who })

  const refresh_token = session.refresh_token
  const next = (await server.post('/auth/refresh', { refresh_token })).body
  t.match(last(server), { route: '/auth/refresh', status: 200, ...who })

  await server.post('/auth/login', { ...account, password: 'a wrong one of some length' })
  t.match(last(server), { route: '/auth/login', status: 401, code: 'invalid_credentials', user_id: id })
  await server.post('/auth/login', { email: server.freshEmail(), password: 'a wrong one of some length' })
  t.match(last(server), { status: 401, code: 'invalid_credentials' })
  t.notHas(last(server), { user_id: id })

  await server.call('DELETE', `/auth/sessions/${randomUUID()}`, { bearer: session.access_token })
  t.match(last(server), { route: '/auth/sessions/:id', status: 404, code: 'not_found', ...who })
  await server.call('GET', '/me')
  t.match(last(server), { route: '/me', status: 401, code: 'access_token_invalid' })
  await server.post('/auth/login', { email: 1 })
  t.match(last(server), { status: 400, code: 'validation_failed' })

  await server.post('/auth/logout', { refresh_token: next.refresh_token })
  t.match(last(server), { route: '/auth/logout', status: 204, user_id: id, session_id: who.session_id })
})

t.test('what no route serves is named by a path that holds no secret', async (t) => {
  const server = await startServer(t)
  await server.call('GET', '/wp-login.php?token=canary-token')
  t.match(last(server), { route: 'unknown', path: '/wp-login.php', status: 404, code: 'not_found' })
  await server.call('GET', '/reset/canary-token-of-forty-characters-or-so-0123456789')
  t.match(last(server), { path: '/reset/…', status: 404 })
  await server.call('POST', '/healthz')
  t.match(last(server), { path: '/healthz', status: 405, code: 'method_not_allowed' })
  t.notMatch(server.logs.join(''), 'canary')
})

t.test('probes are not logged, unless all of it is', async (t) => {
  const quiet = await startServer(t)
  const loud = await startServer(t, { env: { LOG_LEVEL: 'debug' } })
  for (const server of [quiet, loud]) {
    for (const path of ['/healthz', '/readyz', '/metrics']) await server.call('GET', path)
    await server.call('HEAD', '/healthz')
  }
  t.strictSame(requestsOf(quiet), [])
  t.strictSame(
    requestsOf(loud).map(({ level, route }) => `${level} ${route}`),
    ['debug /healthz', 'debug /readyz', 'debug /metrics', 'debug /healthz'],
  )
})

t.test('a theft is one line, with what to do', async (t) => {
  const server = await startServer(t, { env: { REFRESH_GRACE: '0' } })
  const { refresh_token, session } = await server.login(await server.createAccount())
  const { id } = await server.db.user.findFirstOrThrow()
  await server.post('/auth/refresh', { refresh_token })
  await server.age(60_000)
  for (let attempt = 0; attempt < 3; attempt += 1) await server.post('/auth/refresh', { refresh_token })
  const told = linesOf(server).filter(({ event }) => event === 'refresh_token_reused')
  t.match(told, [{ level: 'warn', user_id: id, session_id: session.id, ip: '127.0.0.1', advice: /mail/ }])
  t.equal(told.length, 1)
  t.match(
    requestsOf(server).find(({ request_id }) => request_id === told[0]?.request_id),
    { status: 401, code: 'session_ended', user_id: id, session_id: session.id },
  )
  t.notMatch(server.logs.join(''), refresh_token)
})

t.test('a lock is one line, with what to do', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const { id } = await server.db.user.findFirstOrThrow()
  for (let guess = 0; guess < 13; guess += 1)
    await server.post('/auth/login', { ...account, password: 'a wrong one of some length' })
  const told = linesOf(server).filter(({ event }) => event === 'account_locked')
  t.match(told, [{ level: 'warn', user_id: id, what: 'password', locked: 'here', advice: /./ }])
  t.equal(told.length, 1)
  t.notMatch(server.logs.join(''), account.email)
})

t.test('a proxy that TRUST_PROXY does not name is noticed once', async (t) => {
  const told = (server: TestServer) => linesOf(server).filter(({ event }) => event === 'untrusted_proxy')
  const cases: [name: string, value: string][] = [
    ['x-forwarded-for', '203.0.113.9'],
    ['forwarded', 'for=203.0.113.9'],
    ['x-real-ip', '203.0.113.9'],
  ]
  for (const [name, value] of cases) {
    const server = await startServer(t)
    await server.call('GET', '/me')
    t.strictSame(told(server), [])
    for (let call = 0; call < 3; call += 1) await server.call('GET', '/me', { headers: { [name]: value } })
    t.match(told(server), [{ level: 'warn', header: name, peer: '127.0.0.1', advice: /TRUST_PROXY/ }])
    t.equal(told(server).length, 1, 'once')
  }
  const elsewhere = await startServer(t, { env: { TRUST_PROXY: '192.0.2.1' } })
  await elsewhere.call('GET', '/me', { headers: { 'x-forwarded-for': '203.0.113.9' } })
  t.equal(told(elsewhere).length, 1, 'another address is trusted')
  for (const TRUST_PROXY of ['1', 'loopback']) {
    const trusting = await startServer(t, { env: { TRUST_PROXY } })
    await trusting.call('GET', '/me', { headers: { 'x-forwarded-for': '203.0.113.9' } })
    t.strictSame(told(trusting), [], TRUST_PROXY)
    t.match(last(trusting), { ip: '203.0.113.9' })
  }
})

t.test('an outage is one line at its start and one at its end, however many calls it fails', async (t) => {
  for (const store of ['postgres', 'redis'] as const) {
    const server = await startServer(t, { proxies: true })
    const account = await server.createAccount()
    const session = await server.login(account)
    const notable = () => linesOf(server).filter(({ level }) => level !== 'info')
    t.strictSame(notable(), [])
    server.proxies[store].cut()
    const calls = [
      () => server.post('/auth/login', account),
      () => server.post('/auth/register', { email: server.freshEmail(), password: account.password }),
      () => server.call('POST', '/auth/logout-all', { bearer: session.access_token }),
    ]
    let refused = 0
    const began = performance.now()
    // Longer than it takes until a failure that no outage explains is logged.
    while (performance.now() - began < 7_000)
      for (const call of calls) if ((await call()).status === 503) refused += 1
    t.ok(refused > 0, `${refused} calls were refused`)
    const { text } = await server.call('GET', '/metrics')
    t.match(text, new RegExp(`^ratchet_store_available\\{store="${store}"\\} 0$`, 'm'))
    await server.proxies[store].heal()
    await server.call('GET', '/readyz')
    while ((await server.call('GET', '/readyz')).body.status !== 'ready');
    const lines = notable()
    t.match(lines, [
      { level: 'error', event: 'store_unavailable', store, reason: /^\w+$/, advice: /./ },
      { level: 'warn', event: 'store_available', store, refused_requests: Number },
    ])
    t.equal(lines.length, 2, JSON.stringify(lines))
    t.ok((lines[1]?.refused_requests ?? 0) > 0)
    const codes = requestsOf(server).filter(({ status }) => status === 503)
    for (const { code } of codes) t.match(code, /^(unavailable|revocation_pending)$/)
    t.notMatch(server.logs.join(''), /\bat .*\.(ts|js):\d/, 'no stack')
    t.notMatch(server.logs.join(''), /prisma|Invalid `|ioredis/i, 'no text of a library')
    await server.close()
  }
})

t.test('a request whose client goes before the answer has a line, and is counted', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const { id } = await server.db.user.findFirstOrThrow()
  const body = JSON.stringify({ ...account, transport: 'body' })
  const requests: [line: Line, bytes: string][] = [
    [{ status: 200, code: undefined, user_id: id }, body],
    [
      { status: 401, code: 'invalid_credentials' },
      body.replace(account.password, 'a wrong one of some length'),
    ],
  ]
  for (const [line, json] of requests) {
    const before = requestsOf(server).length
    const length = `Content-Length: ${Buffer.byteLength(json)}`
    const arrived = once(server.app.server, 'request')
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    socket.write(head('POST /auth/login HTTP/1.1', 'Content-Type: application/json', length) + json)
    await arrived
    socket.resetAndDestroy()
    await eventually(() => requestsOf(server).length > before)
    t.match(last(server), { route: '/auth/login', aborted: true, ip: '127.0.0.1', ...line })
    const { text } = await server.call('GET', '/metrics')
    t.match(text, `{method="POST",route="/auth/login",status="${line.status}"} 1`)
  }
  await server.login(account)
  t.notHas(last(server), { aborted: true })
})

t.test('so has one whose answer waited for that to an earlier request', async (t) => {
  const server = await startServer(t)
  const answered = new Promise<void>((resolve) => {
    server.app.server.prependListener('request', ({ url }, response) => {
      if (url === '/nope') resolve(eventually(() => response.writableEnded))
      // The answer to the first one does not end before its client goes.
      else response.end = () => response
    })
  })
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  for (const path of ['/auth/session', '/nope']) socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
  await answered
  socket.resetAndDestroy()
  await eventually(() => requestsOf(server).length === 2)
  const line = (path: string) => requestsOf(server).find((each) => (each.path ?? each.route) === path)
  t.match(line('/nope'), { status: 404, aborted: true })
  t.match(line('/auth/session'), { status: 200, aborted: true })
})

t.test('so has one whose client goes while a hook waits for a store', async (t) => {
  const server = await startServer(t, { proxies: true, env: { RATE_LIMITS: 'true' } })
  const { redis } = server.proxies
  const body = JSON.stringify({ email: server.freshEmail(), password: 'a wrong one of some length' })
  for (const sent of [body, body.slice(0, 9)]) {
    const before = requestsOf(server).length
    redis.stall()
    const arrived = once(server.app.server, 'request')
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    const length = `Content-Length: ${body.length}`
    socket.write(head('POST /auth/login HTTP/1.1', 'Content-Type: application/json', length) + sent)
    const [request] = await arrived
    await eventually(() => redis.held.includes('login'))
    socket.resetAndDestroy()
    await eventually(() => request.destroyed)
    await redis.heal()
    await eventually(() => requestsOf(server).length > before)
    t.match(last(server), { route: '/auth/login', status: 400, code: 'validation_failed', aborted: true })
  }
})

t.test('a client that goes while it sends its body says nothing about the stores', async (t) => {
  const server = await startServer(t)
  for (const path of ['/auth/login', '/auth/refresh']) {
    const before = requestsOf(server).length
    const arrived = once(server.app.server, 'request')
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    socket.write(head(`POST ${path} HTTP/1.1`, 'Content-Type: application/json', 'Content-Length: 99'))
    await arrived
    socket.resetAndDestroy()
    await eventually(() => requestsOf(server).length > before)
    t.match(last(server), { route: path, status: 400, code: 'validation_failed', aborted: true })
  }
})

t.test('what is answered before a route is found has a line as well', async (t) => {
  const server = await startServer(t)
  const limits = { requestTimeout: 100, headersTimeout: 100 }
  const cases: [line: Line, request: string, limits?: typeof limits][] = [
    [{ method: 'GET', path: '/…', status: 400, code: 'validation_failed' }, head('GET /%zz?canary HTTP/1.1')],
    [
      { method: 'DELETE', path: '/auth/sessions/…', status: 400 },
      head(`DELETE /auth/sessions/canary${'a'.repeat(200)} HTTP/1.1`),
    ],
    [
      { method: 'GET', path: '/wp-login.php', status: 431, code: 'headers_too_large' },
      head('GET /wp-login.php?token=canary HTTP/1.1', `X: ${'canary'.repeat(5_000)}`),
    ],
    [{ method: undefined, path: undefined, status: 400 }, head('CANARY /canary HTTP/1.1')],
    [{ method: undefined, path: undefined, status: 400 }, '{"password":"canary"}\r\n\r\n'],
    [{ method: 'GET', path: '/', status: 400 }, head('GET / HTTP/1.1', 'can ary: x')],
    [{ method: undefined, path: undefined, status: 431 }, head(`GET /${'canary/'.repeat(3_000)} HTTP/9`)],
    [{ method: 'CONNECT', path: undefined, status: 405 }, head('CONNECT canary.example.com:443 HTTP/1.1')],
    [{ path: undefined, status: 408, code: 'request_timeout' }, 'GET /canary', limits],
    [
      { method: 'POST', route: '/auth/login', status: 408, code: 'request_timeout' },
      `${head('POST /auth/login HTTP/1.1', 'Content-Type: application/json', 'Content-Length: 9')}{`,
      limits,
    ],
  ]
  for (const [line, request, times = {}] of cases) {
    const before = requestsOf(server).length
    Object.assign(server.app.server, { requestTimeout: 9_000, headersTimeout: 9_000 }, times)
    const answer = await exchange(server, request)
    await eventually(() => requestsOf(server).length > before)
    const told = last(server)
    t.match(told, { level: 'info', ip: '127.0.0.1', route: 'unknown', ...line })
    t.equal(told?.method, 'method' in line ? line.method : told?.method)
    t.equal(told?.path, line.path)
    t.match(answer.toLowerCase(), `x-request-id: ${told?.request_id}`)
    t.equal(requestsOf(server).length, before + 1, 'one line')
    t.ok(JSON.stringify(told).length < 500)
  }
  t.notMatch(server.logs.join(''), /canary/i)
  await exchange(server, head('GET /%zz HTTP/1.1', 'X-Forwarded-For: 203.0.113.9'))
  t.match(last(server), { ip: '127.0.0.1' }, 'a proxy that is not trusted')
  const trusting = await startServer(t, { env: { TRUST_PROXY: '1' } })
  await exchange(trusting, head('GET /%zz HTTP/1.1', 'X-Forwarded-For: 203.0.113.9'))
  t.match(last(trusting), { ip: '203.0.113.9', status: 400 })
})

const head = (line: string, ...headers: string[]) =>
  `${[line, 'Host: x', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`

/** Sends bytes and resolves with what the server says until it ends the connection. */
async function exchange({ url }: TestServer, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  // After an error the server may reset the connection instead of ending it.
  socket.on('error', () => {})
  socket.write(bytes)
  await once(socket, 'close')
  return received
}
