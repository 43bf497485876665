import { connect } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { problems } from '../../src/core/problems/problems.ts'
import { startServer } from '../support/server.ts'

const server = await startServer(t)

t.test('CORS allows a listed origin, and reflects no other', async (t) => {
  const preflight = (origin: string) =>
    server.call('OPTIONS', '/auth/refresh', {
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,idempotency-key',
      },
    })
  const listed = await preflight('https://app.example.com')
  t.equal(listed.headers.get('access-control-allow-origin'), 'https://app.example.com')
  t.equal(listed.headers.get('access-control-allow-credentials'), 'true')
  t.match(listed.headers.get('access-control-allow-headers'), /idempotency-key/)
  for (const origin of ['https://evil.example.com', 'null', 'https://app.example.com.evil.com']) {
    const refused = await preflight(origin)
    t.equal(refused.headers.get('access-control-allow-origin'), null, origin)
    t.match(refused.headers.get('vary'), /origin/i)
  }
})

t.test('an answer to a request without an origin has no headers that only pages need', async (t) => {
  for (const path of ['/healthz', '/.well-known/jwks.json']) {
    const { status, headers } = await server.call('GET', path)
    t.equal(status, 200)
    t.equal(headers.get('access-control-allow-credentials'), null)
    t.equal(headers.get('access-control-expose-headers'), null)
    t.match(headers.get('vary'), /origin/i, 'a cache keeps it apart from what a page gets')
  }
  const options = await server.call('OPTIONS', '/auth/refresh')
  t.match(options, { status: 405, body: { code: 'method_not_allowed' } })
  t.equal(options.headers.get('allow'), 'POST')
  t.match(await server.call('OPTIONS', '/nowhere'), { status: 404, body: { code: 'not_found' } })
})

t.test('what pages of every origin may read, they may also ask for, without credentials', async (t) => {
  const preflight = (path: string, origin: string) =>
    server.call('OPTIONS', path, {
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,dpop,mcp-protocol-version',
      },
    })
  for (const path of [
    '/oauth/token',
    '/oauth/userinfo',
    '/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server',
    '/.well-known/jwks.json?x',
  ]) {
    const { headers } = await preflight(path, 'https://stranger.example.com')
    t.equal(headers.get('access-control-allow-origin'), '*', path)
    t.equal(headers.get('access-control-allow-credentials'), null)
    for (const name of ['authorization', 'dpop', 'mcp-protocol-version'])
      t.ok(headers.get('access-control-allow-headers')?.split(', ').includes(name), name)
    const listed = await preflight(path, 'https://app.example.com')
    t.equal(listed.headers.get('access-control-allow-origin'), 'https://app.example.com')
    t.equal(listed.headers.get('access-control-allow-credentials'), 'true')
  }
  for (const path of ['/me', '/auth/login', '/oauth', '/nowhere'])
    t.equal(
      (await preflight(path, 'https://stranger.example.com')).headers.get('access-control-allow-origin'),
      null,
    )
})

t.test('an error for an unknown path is a problem document too', async (t) => {
  for (const [method, path] of [
    ['GET', '/nowhere'],
    ['POST', '/me'],
    ['DELETE', '/auth/login'],
    ['GET', '/%zz'],
  ] as const) {
    const answer = await server.call(method, path)
    t.ok(answer.status >= 400 && answer.status < 500, path)
    t.match(answer.headers.get('content-type'), /^application\/problem\+json/, path)
    t.equal(answer.body.status, answer.status)
    t.ok(answer.body.code in problems)
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff')
  }
})

t.test('an unknown path is a 404 with any method', async (t) => {
  for (const method of ['GET', 'POST', 'DELETE'])
    t.match((await server.call(method, '/nowhere')).body, { status: 404, code: 'not_found' })
})

t.test('a known path with another method is a 405 that lists the allowed ones', async (t) => {
  for (const [path, allow] of [
    ['/me', /GET, HEAD, PATCH, DELETE/],
    ['/auth/sessions/1', /DELETE/],
    ['/auth/login', /POST/],
  ] as const) {
    const answer = await server.call('PUT', path)
    t.equal(answer.status, 405)
    t.equal(answer.body.code, 'method_not_allowed')
    t.match(answer.headers.get('allow'), allow)
  }
})

t.test('invalid or oversized HTTP is answered with a problem document', async (t) => {
  const { hostname, port } = new URL(server.url)
  const speak = async (raw: string): Promise<string> => {
    const socket = connect(Number(port), hostname)
    socket.write(raw)
    let answer = ''
    for await (const chunk of socket) answer += chunk
    return answer
  }
  t.match(
    await speak('nonsense\r\n\r\n'),
    /^HTTP\/1\.1 400 .*application\/problem\+json.*"code":"validation_failed"/s,
  )
  t.match(
    await speak(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 .*"code":"headers_too_large"/s,
  )
})

t.test('bytes that are not UTF-8 are refused, not replaced', async (t) => {
  const body = Buffer.concat([
    Buffer.from('{"email":"a@example.com","password":"'),
    Buffer.alloc(16, 0xff),
    Buffer.from('"}'),
  ])
  const response = await fetch(`${server.url}/auth/login`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
  })
  t.equal(response.status, 400)
  t.match(await response.json(), { code: 'validation_failed' })
})

t.test('a compressed body is refused as what it is', async (t) => {
  const body = Buffer.from('{"email":"a@example.com","password":"a password"}')
  const post = (coding: string, bytes: Buffer) =>
    fetch(`${server.url}/auth/login`, {
      method: 'POST',
      body: bytes,
      headers: { 'content-type': 'application/json', 'content-encoding': coding },
    })
  for (const [coding, bytes] of [
    ['gzip', gzipSync(body)],
    ['br', brotliCompressSync(body)],
    ['Deflate', deflateSync(body)],
    ['identity, gzip', gzipSync(body)],
  ] as const) {
    const refused = await post(coding, bytes)
    t.equal(refused.status, 415, coding)
    t.match(await refused.json(), { code: 'unsupported_media_type', detail: /compressed/ }, coding)
  }
  t.equal((await post('Identity', body)).status, 401)
  for (const path of ['/oauth/token', '/auth/sign-in']) {
    const refused = await fetch(`${server.url}${path}`, {
      method: 'POST',
      body: gzipSync('grant_type=refresh_token'),
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-encoding': 'gzip' },
    })
    t.equal(refused.status, 415, path)
    t.match(await refused.text(), /compressed|could not be read/, path)
  }
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.write(
    'POST /auth/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n' +
      'transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
  )
  let answer = ''
  for await (const chunk of socket) answer += chunk
  t.match(answer, /^HTTP\/1\.1 415 .*"code":"unsupported_media_type"/s)
})

t.test('the API serves OpenAPI 3.1 made from the schemas that validate', async (t) => {
  const { body } = await server.call('GET', '/openapi.json')
  t.match(body.openapi, /^3\.1/)
  const paths = [
    '/auth/register',
    '/auth/verify-email',
    '/auth/resend-verification',
    '/auth/login',
    '/auth/refresh',
    '/auth/logout',
    '/auth/logout-all',
    '/me',
    '/auth/change-password',
    '/auth/change-email',
    '/auth/confirm-email-change',
    '/auth/request-password-reset',
    '/auth/reset-password',
    '/auth/sessions',
    '/auth/sessions/{id}',
    '/auth/activity',
    '/.well-known/jwks.json',
    '/healthz',
    '/readyz',
  ]
  for (const path of paths) t.ok(body.paths[path], path)
  t.strictSame(Object.keys(body.paths['/auth/login'].post.requestBody.content), ['application/json'])
  const docs = await server.call('GET', '/docs/')
  t.equal(docs.status, 200)
  t.notMatch(docs.text, /https?:\/\/(?!localhost)/, 'it loads no foreign assets')
  t.match(docs.headers.get('content-security-policy'), "default-src 'self'")
  const head = await server.call('HEAD', '/docs/')
  t.ok(docs.headers.get('content-length'))
  t.equal(head.headers.get('content-length'), docs.headers.get('content-length'))
  const script = await server.call('GET', '/docs/static/swagger-ui-bundle.js')
  t.match([script.status, script.headers.get('content-type')], [200, /javascript/])
  for (const path of ['/docs/nowhere', '/docs/static/nowhere', '/docs/static/..%2findex.js', '/docs/me'])
    t.match((await server.call('GET', path)).body, { status: 404, code: 'not_found' }, path)
})

t.test('every call documents its purpose and its refusals', async (t) => {
  const { body } = await server.call('GET', '/openapi.json')
  // Every test with a server checks that no call is refused with an undocumented problem.
  const codes = (path: string, method: string, status: number): string[] =>
    body.paths[path][method].responses[status].content['application/problem+json'].schema.allOf[1].properties
      .code.enum
  t.strictSame(codes('/auth/login', 'post', 401), ['invalid_credentials', 'mfa_required'])
  t.ok(codes('/me', 'delete', 401).includes('mfa_required'))
  t.strictSame(codes('/auth/refresh', 'post', 409), ['refresh_superseded'])
  t.notOk(body.paths['/me'].get.responses[429], 'it has no rate limit')
  t.ok(body.components.schemas.Problem.properties.mfa_token)
  for (const path of ['verify-email', 'reset-password', 'forgot-password', 'unlock', 'confirm-email-change'])
    t.ok(body.paths[`/auth/${path}`].get.responses[200].content['text/html'], path)
  for (const [path, methods] of Object.entries<Record<string, { responses: object }>>(body.paths)) {
    for (const { responses } of Object.values(methods))
      t.notMatch(JSON.stringify(responses), /Default Response|"default":/, path)
  }
})

t.test('the examples of the documentation are accepted', async (t) => {
  const { body } = await server.call('GET', '/openapi.json')
  const { example } = body.paths['/auth/login'].post.requestBody.content['application/json']
  t.equal(
    (await server.post('/auth/login', example)).body.code,
    'invalid_credentials',
    'only the account does not exist',
  )
  const register = body.components.schemas.RegisterRequest.properties
  const proposed = Object.entries<{ examples?: string[]; default: string }>(register).map(
    ([name, { examples, default: usual }]) => [name, examples?.[0] ?? usual],
  )
  t.equal((await server.post('/auth/register', Object.fromEntries(proposed))).status, 202)
  const script = await server.call('GET', '/docs/static/swagger-initializer.js')
  t.match(script.text, '/openapi.json')
})

t.test('a value outside an enumeration is one fault, and the allowed values are documented', async (t) => {
  const login = { email: 'ada@example.com', password: 'correct horse battery' }
  const wrong = await server.post('/auth/login', { ...login, transport: 'pigeon' })
  t.strictSame(wrong.body.errors, [{ pointer: '/transport', detail: 'must be one of cookie, body' }])
  const { body, text } = await server.call('GET', '/openapi.json')
  t.match(body.components.schemas.SignInRequest.properties.transport, {
    enum: ['cookie', 'body'],
    default: 'cookie',
  })
  t.notMatch(text, /"anyOf":\[\{[^}]*"const"/)
  t.strictSame(body.components.schemas.AuditEvent.properties.outcome.enum, ['success', 'failure'])
})

t.test('health says which stores answer, and how long each took', async (t) => {
  t.strictSame((await server.call('GET', '/healthz?probe=1')).body, { status: 'ok' })
  const ready = await server.call('GET', '/readyz')
  t.equal(ready.status, 200)
  for (const name of ['postgres', 'redis', 'migrations', 'keys'])
    t.equal(ready.body.checks[name].ok, true, name)
})

t.test('slow regular expressions cannot be used', async (t) => {
  for (const email of [
    `${'a'.repeat(300)}@`,
    `${'a.'.repeat(150)}@b`,
    `${' '.repeat(300)}x`,
    '@'.repeat(300),
  ]) {
    // A backtracking engine would not answer before the test times out.
    t.equal((await server.post('/auth/login', { email, password: 'x' })).status, 400)
  }
})

t.test('every outcome of authentication leaves an audit event', async (t) => {
  const account = await server.createAccount()
  const session = await server.login(account)
  await server.post('/auth/login', { ...account, password: 'wrong' })
  await server.post('/auth/refresh', { refresh_token: 'nonsense' })
  await server.call('POST', '/auth/logout', { bearer: session.access_token })
  await server.post('/auth/refresh', { refresh_token: session.refresh_token })
  await server.close()
  const { openDatabase } = await import('../../src/platform/database.ts')
  const { db, close } = openDatabase({ url: server.databaseUrl, poolSize: 1 })
  const events = await db.auditEvent.findMany()
  await close()
  const seen = new Set(events.map((event) => `${event.type} ${event.outcome} ${event.reason ?? ''}`.trim()))
  for (const wanted of [
    'register success',
    'verify_email success',
    'login success',
    'login failure wrong_password',
    'refresh failure invalid',
    'logout success logout',
    'refresh failure logout',
  ]) {
    t.ok(seen.has(wanted), wanted)
  }
  for (const event of events.filter(({ userId }) => userId)) t.ok(event.requestId && event.ip)
})
