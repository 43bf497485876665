// Traces of the built server, by real OpenTelemetry: `npm run tracing` installs it, and builds.
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { freePort } from '../src/dev/embedded/port.ts'
import { startBuiltServer } from './support/built-server.ts'
import { type Span, startCollector } from './support/collector.ts'
import { until } from './support/eventually.ts'
import { createFaultProxy } from './support/fault-proxy.ts'
import { redisUrl } from './support/redis.ts'
import { startServer } from './support/server.ts'

const TRACING = ['--import', fileURLToPath(new URL('../deploy/tracing/tracing.mjs', import.meta.url))]
const SERVER = 2
const CLIENT = 3
const ERROR = 2

/** Makes accounts, and Redis forget; the built server has the same stores. */
const own = await startServer(t)
const env = {
  DATABASE_URL: own.databaseUrl,
  APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
  ...(process.env.TEST_REDIS_INCARNATION ? { REDIS_INCARNATION: process.env.TEST_REDIS_INCARNATION } : {}),
  BREACHED_PASSWORDS_URL: 'off',
  INBOX_DIR: t.testdir(),
}
const account = await own.createAccount()

/** A caller's trace: what it sends, and how it names it. */
function callerTrace(flags = '01') {
  const traceId = randomBytes(16).toString('hex')
  const spanId = randomBytes(8).toString('hex')
  return { traceId, spanId, headers: { traceparent: `00-${traceId}-${spanId}-${flags}` } }
}

/** Their names, in the order of their ends. The driver sends a whole script, `EVAL`, when it may be new to the server. */
const operations = (spans: Span[]) => spans.map(({ name }) => name).join(' ')

/** Sends the body only once the server has read the headers. @returns the next refresh token. */
async function refreshWithLateBody(url: string, token: string, headers: Record<string, string>) {
  const asked = request(`${url}/auth/refresh`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json', expect: '100-continue' },
  })
  const answered = once(asked, 'response') as Promise<[IncomingMessage]>
  asked.flushHeaders()
  await once(asked, 'continue')
  asked.end(JSON.stringify({ refresh_token: token }))
  const [answer] = await answered
  return ((await json(answer)) as { refresh_token: string }).refresh_token
}

t.test('a request is a trace, from HTTP to Redis to Postgres', async (t) => {
  const collector = await startCollector(t)
  const redis = await createFaultProxy({ target: redisUrl })
  t.teardown(() => redis.close())
  const server = await startBuiltServer(
    t,
    {
      ...env,
      REDIS_URL: redis.url,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
      // Later than the end of the test: what arrives was sent when the server stopped.
      OTEL_BSP_SCHEDULE_DELAY: '600000',
    },
    { nodeOptions: TRACING },
  )
  const secrets = new Set<string>([env.APP_SECRETS, account.email, account.password])
  const traces: Record<string, ReturnType<typeof callerTrace>> = {}
  let token = ''

  async function refresh(name: string, flags?: string): Promise<void> {
    const trace = callerTrace(flags)
    traces[name] = trace
    const key = randomUUID()
    const headers = { ...trace.headers, 'idempotency-key': key }
    const answer = await server.post('/auth/refresh', { refresh_token: token }, { headers })
    t.equal(answer.status, 200, name)
    token = answer.body.refresh_token
    for (const secret of [key, token, answer.body.access_token]) secrets.add(secret)
  }

  traces.login = callerTrace()
  const { headers } = traces.login
  const signedIn = await server.post('/auth/login', { ...account, transport: 'body' }, { headers })
  t.equal(signedIn.status, 200, 'signed in')
  token = signedIn.body.refresh_token
  secrets.add(token)
  for (const name of ['access_token', 'device_token']) secrets.add(signedIn.body[name])
  const { sub, sid } = JSON.parse(
    Buffer.from(signedIn.body.access_token.split('.')[1], 'base64url').toString(),
  ) as { sub: string; sid: string }
  for (const id of [sub, sid]) secrets.add(id)

  await refresh('warm')
  await own.forgetFamily(token)
  await refresh('cold')
  await refresh('unsampled', '00')
  traces.body = callerTrace()
  token = await refreshWithLateBody(server.url, token, traces.body.headers)
  secrets.add(token)
  const secret = randomBytes(32).toString('base64url')
  secrets.add(secret)
  traces.unknown = callerTrace()
  const cookie = `__Host-ratchet=${secret}; other=${secret}`
  await server.call('GET', `/no/${secret}?token=${secret}`, {
    bearer: secret,
    headers: { ...traces.unknown.headers, cookie, 'user-agent': secret, baggage: `a=${secret}` },
  })
  await server.call('GET', `/auth/verify-email?token=${secret}`, { headers: { traceparent: 'broken' } })
  await server.call('GET', '/healthz')

  // At once, and more than there are connections: each waits for one that another has released.
  const many = Array.from({ length: 30 }, () => callerTrace())
  redis.cut()
  await until(
    'Redis is unavailable',
    async () => (await server.call('GET', '/readyz')).body.status === 'degraded',
  )
  await refresh('ledger')
  await Promise.all(
    many.map(async ({ headers }) => {
      const answer = await server.post('/auth/refresh', { refresh_token: token }, { headers })
      // The copies of a token that are served are limited; the others cost the same transaction.
      t.ok([200, 409].includes(answer.status), `${answer.status}`)
      if (answer.status === 200) secrets.add(answer.body.access_token)
    }),
  )
  t.equal(await server.stop(), 0, 'the server ends as usual')

  const spans = collector.spans()
  const traceOf = (name: string) => spans.filter(({ traceId }) => traceId === traces[name]?.traceId)
  /** The span of the request, after a check that all others are its children. */
  function traced(t: Test, name: string): { root: Span; children: Span[] } {
    const trace = traceOf(name)
    const root = trace.find(({ kind }) => kind === SERVER) as Span
    t.ok(root, name)
    t.equal(root.parentSpanId, traces[name]?.spanId, 'the trace of the caller goes on')
    const children = trace.filter((span) => span !== root)
    for (const child of children) t.match(child, { parentSpanId: root.spanId, kind: CLIENT })
    return { root, children }
  }

  t.strictSame(collector.paths(), ['/v1/traces'])
  for (const resource of collector.resources()) {
    t.match(resource, { 'service.name': 'ratchet', 'deployment.environment.name': 'test' })
  }

  t.test('a refresh is one command to Redis', async (t) => {
    const { root, children } = traced(t, 'warm')
    t.match(root, {
      name: 'POST /auth/refresh',
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/auth/refresh',
        'http.response.status_code': 200,
      },
    })
    t.match(operations(children), /^EVAL(SHA)?$/)
    t.match(children[0]?.attributes, { 'db.system.name': 'redis', 'server.port': redis.port })
  })

  t.test('a body that arrives after the headers changes nothing', async (t) => {
    t.match(operations(traced(t, 'body').children), /^EVAL(SHA)?$/)
  })

  t.test('a family that Redis has lost is read from Postgres', async (t) => {
    const { children } = traced(t, 'cold')
    t.match(operations(children), /^EVAL(SHA)? SELECT EVAL(SHA)?$/)
    t.match(children[1]?.attributes, { 'db.system.name': 'postgresql', 'db.query.text': /FROM sessions s/ })
  })

  t.test('without Redis, a refresh shows its transaction', async (t) => {
    const { children } = traced(t, 'ledger')
    // The rotations before it may have to be written first.
    t.match(operations(children), /^(WITH )?BEGIN SELECT UPDATE COMMIT$/)
    const update = children.find(({ name }) => name === 'UPDATE')
    t.match(update?.attributes['db.query.text'], /UPDATE sessions SET generation = \$1/)
  })

  t.test('each statement belongs to its own request, also if that waited for a connection', async (t) => {
    for (const [index, trace] of many.entries()) {
      traces[`many ${index}`] = trace
      const { children } = traced(t, `many ${index}`)
      t.match(operations(children), /^(WITH )?BEGIN SELECT (UPDATE )?COMMIT$/)
    }
  })

  t.test('a sign-in shows its statements', async (t) => {
    const { root, children } = traced(t, 'login')
    t.equal(root.name, 'POST /auth/login')
    t.ok(children.filter(({ attributes }) => attributes['db.system.name'] === 'postgresql').length >= 2)
  })

  t.test(
    'what has no route has no path; what is not sampled is not sent; probes are not traced',
    async (t) => {
      t.equal(traced(t, 'unknown').root.name, 'GET')
      t.strictSame(traceOf('unsampled'), [])
      t.strictSame(
        spans.filter(({ name }) => name.endsWith('z')),
        [],
      )
      const page = spans.find(({ name }) => name === 'GET /auth/verify-email')
      t.notOk(page?.parentSpanId, 'a header that cannot be read begins no trace of a caller')
      t.ok(page)
    },
  )

  t.test('background tasks are not traced', async (t) => {
    for (const span of spans) if (span.kind !== SERVER) t.ok(span.parentSpanId, span.name)
  })

  t.test('nothing that is sent is secret', async (t) => {
    const text = collector.text()
    for (const each of secrets) t.notOk(text.includes(each), each)
  })

  t.test('the line of a request names its trace', async (t) => {
    const lines = server.lines().filter(({ msg }) => msg === 'request')
    for (const name of ['warm', 'unsampled', 'unknown']) {
      const [line] = lines.filter(({ trace_id }) => trace_id === traces[name]?.traceId)
      t.ok(line, name)
    }
    const { root } = traced(t, 'warm')
    const line = lines.find(({ trace_id }) => trace_id === root.traceId)
    t.equal(line?.request_id, root.attributes['ratchet.request_id'])
  })
})

t.test('a failure is marked, without its text', async (t) => {
  const collector = await startCollector(t)
  const postgres = await createFaultProxy({ target: own.databaseUrl })
  t.teardown(() => postgres.close())
  const server = await startBuiltServer(
    t,
    { ...env, DATABASE_URL: postgres.url, REDIS_URL: redisUrl, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    { nodeOptions: TRACING },
  )
  postgres.cut()
  const answer = await server.post('/auth/login', { ...account, transport: 'body' })
  t.equal(answer.status, 503, answer.text)
  t.equal(await server.stop(), 0)
  const root = collector.spans().find(({ name }) => name === 'POST /auth/login')
  t.match(root, {
    status: { code: ERROR },
    attributes: { 'http.response.status_code': 503, 'error.type': 'unavailable' },
  })
})

t.test('without a collector, the server serves, says so once, and stops', async (t) => {
  const server = await startBuiltServer(
    t,
    {
      ...env,
      REDIS_URL: redisUrl,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: '100',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    },
    { nodeOptions: TRACING },
  )
  const lost = () => server.lines().filter(({ event }) => event === 'spans_lost')
  await until('the loss is said', async () => {
    await server.call('GET', '/auth/verify-email')
    return lost().length > 0
  })
  t.equal((await server.post('/auth/login', { ...account, transport: 'body' })).status, 200)
  t.equal(await server.stop(), 0)
  t.match(lost(), [{ level: 'warn', msg: 'spans could not be sent to the collector' }])
  t.equal(lost().length, 1)
})

t.test('without --import, nothing is traced', async (t) => {
  const collector = await startCollector(t)
  const server = await startBuiltServer(t, {
    ...env,
    REDIS_URL: redisUrl,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  })
  const { headers } = callerTrace()
  await server.post('/auth/refresh', { refresh_token: 'none' }, { headers })
  t.equal(await server.stop(), 0)
  t.strictSame(collector.spans(), [])
  const [line] = server.lines().filter(({ msg }) => msg === 'request')
  t.ok(line)
  t.notOk(line && 'trace_id' in line)
})
