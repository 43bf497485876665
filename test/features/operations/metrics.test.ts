import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { buildApp } from '../../../src/app.ts'
import { loadConfig } from '../../../src/config.ts'
import { createMetrics } from '../../../src/platform/metrics.ts'
import { serve } from '../../../src/serve.ts'
import { createTestDatabase } from '../../support/database.ts'
import { eventually } from '../../support/eventually.ts'
import { redisUrl } from '../../support/redis.ts'
import { startServer } from '../../support/server.ts'

interface Series {
  name: string
  labels: Record<string, string>
  value: number
}

/** Parses Prometheus' text format. */
function parse(text: string): Series[] {
  return text
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', labels = '', value = ''] = /^([a-zA-Z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])
      return { name, labels: Object.fromEntries(pairs), value: Number(value) }
    })
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  await once(probe, 'close')
  return port
}

const PRODUCTION = {
  NODE_ENV: 'production',
  HOST: '127.0.0.1',
  PUBLIC_URL: 'https://auth.example.com',
  TRUST_PROXY: '0',
  SMTP_URL: 'smtp://127.0.0.1:1',
  MAIL_FROM: 'a@example.com',
  ARGON2_MEMORY_KIB: '19456',
  ARGON2_ITERATIONS: '2',
}

t.test('events are counted, with known names only', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const session = await server.login(account)
  const canary = 'canary-5f0c2b1e'
  await server.post('/auth/login', { ...account, password: canary })
  await server.post('/auth/login', { email: `${canary}@example.com`, password: canary })
  await server.post('/auth/register', { email: `${canary}@example.com`, password: account.password })
  await server.post('/auth/refresh', { refresh_token: canary })
  await server.call('GET', `/auth/verify-email?token=${canary}`)
  await server.call('GET', `/${canary}`)
  await server.call('GET', `/docs/static/${canary}`)
  await server.call('DELETE', `/auth/sessions/${canary}`, { bearer: session.access_token })
  await server.call('DELETE', `/auth/sessions/${session.session.id}`, { bearer: session.access_token })
  await server.call('OPTIONS', `/auth/${canary}`, {
    headers: { origin: 'https://app.example.com', 'access-control-request-method': 'POST' },
  })
  await server.call('PROPFIND', `/${canary}`).catch(() => {})
  await server.app.services.outbox.drain()

  const answer = await server.call('GET', `/metrics?${canary}`)
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  t.equal(answer.headers.get('cache-control'), 'no-store')
  const series = parse(answer.text)
  const value = (name: string, labels: Record<string, string>) =>
    series.find(
      (one) =>
        one.name === name && Object.entries(labels).every(([label, text]) => one.labels[label] === text),
    )?.value

  const login = { type: 'login', outcome: 'failure' }
  t.equal(value('ratchet_auth_events_total', { type: 'login', outcome: 'success', reason: '' }), 1)
  t.equal(value('ratchet_auth_events_total', { ...login, reason: 'wrong_password' }), 1)
  t.equal(value('ratchet_auth_events_total', { type: 'refresh', outcome: 'failure', reason: 'invalid' }), 1)
  t.equal(value('ratchet_mails_total', { template: 'confirm_registration', result: 'sent' }), 2)
  const signIn = { method: 'POST', route: '/auth/login' }
  t.equal(value('ratchet_http_requests_total', { ...signIn, status: '200' }), 1)
  t.equal(value('ratchet_http_requests_total', { ...signIn, status: '401' }), 2)
  t.equal(value('ratchet_http_request_seconds_count', { route: '/auth/login' }), 3)
  t.equal(value('ratchet_http_requests_total', { route: 'unknown', method: 'GET', status: '404' }), 1)
  t.equal(
    value('ratchet_http_requests_total', { route: '/auth/sessions/:id', method: 'DELETE', status: '204' }),
    1,
  )
  t.equal(value('ratchet_password_hash_queue', {}), 0)
  t.equal(value('ratchet_build_info', { version: '0.1.0', node: process.version }), 1)
  t.ok(value('process_resident_memory_bytes', {}), 'the metrics of the process are there too')

  for (const secret of [
    canary,
    account.email,
    account.email.split('@')[0],
    session.session.id,
    session.access_token,
  ])
    t.notOk(answer.text.includes(`${secret}`))
  const bounds: Record<string, RegExp> = {
    method: /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|other)$/,
    status: /^[1-5]\d\d$/,
    type: /^[a-z_]+$/,
    outcome: /^(success|failure)$/,
    reason: /^[a-z_]*$/,
    template: /^[a-z_]+$/,
    store: /^(postgres|redis)$/,
    task: /^[a-z_]+$/,
    verdict: /^[a-z_]+$/,
    scheme: /^[a-z0-9-]+$/,
    result: /^(sent|delayed|held|capped|given_up|suppressed|applied|unchanged|ignored|refused)$/,
  }
  const methods = ['GET', 'POST', 'PATCH', 'DELETE', 'OPTIONS'] as const
  const isRoute = (url: string) =>
    ['unknown', '*'].includes(url) || methods.some((method) => server.app.hasRoute({ method, url }))
  for (const { name, labels } of series.filter((one) => one.name.startsWith('ratchet_'))) {
    for (const [label, text] of Object.entries(labels)) {
      if (label === 'route') t.ok(isRoute(text), text)
      else if (label in bounds) t.match(text, bounds[label], `${name} ${label}`)
      else t.ok(['le', 'version', 'node'].includes(label), `${name} ${label}`)
    }
  }
})

t.test('an operator sees the stores, who decides refreshes, and how old the oldest mail is', async (t) => {
  const server = await startServer(t, { env: { REFRESH_GRACE: '0' } })
  const scrape = async () => parse((await server.call('GET', '/metrics')).text)
  const value = async (name: string, wanted: Record<string, string> = {}) =>
    (await scrape()).find(
      (one) => one.name === name && Object.entries(wanted).every(([key, text]) => one.labels[key] === text),
    )?.value
  for (const store of ['postgres', 'redis']) t.equal(await value('ratchet_store_available', { store }), 1)
  const account = await server.createAccount()
  t.equal(await value('ratchet_outbox_oldest_seconds'), 0, 'nothing waits')
  await server.db
    .$executeRaw`UPDATE outbox_messages SET sent_at = NULL, scheduled_at = now() - interval '1 hour',
    next_attempt_at = now() + interval '1 hour', expires_at = NULL`
  t.ok(((await value('ratchet_outbox_oldest_seconds')) ?? 0) >= 3_600)

  const { refresh_token: first } = await server.login(account)
  const refresh = async (refresh_token: string, key: string) =>
    (await server.post('/auth/refresh', { refresh_token }, { headers: { 'idempotency-key': key } })).body
  await refresh(first, 'one')
  const { refresh_token: second } = await refresh(first, 'one')
  await server.app.services.sessions.flush()
  await server.forgetFamily(first)
  await refresh(second, 'two')
  await server.age(60_000)
  t.match(await refresh(first, 'three'), { code: 'session_ended', reason: 'reuse_detected' })
  const verdicts = (await scrape())
    .filter(({ name }) => name === 'ratchet_refreshes_total')
    .map(({ labels, value }) => `${labels.store} ${labels.verdict} ${value}`)
  t.strictSame(verdicts.sort(), ['redis reissue 1', 'redis reuse 1', 'redis rotate 2'])
  t.equal(await value('ratchet_cold_families_total'), 1)
})

t.test('without Postgres there are metrics, and the ledger refreshes without Redis', async (t) => {
  const server = await startServer(t, { proxies: true })
  const { refresh_token } = await server.login(await server.createAccount())
  const text = async () => (await server.call('GET', '/metrics')).text
  server.proxies.redis.cut()
  await eventually(async () => (await text()).includes('ratchet_store_available{store="redis"} 0'))
  await server.post('/auth/refresh', { refresh_token })
  t.match(await text(), 'ratchet_refreshes_total{store="postgres",verdict="rotate"} 1')
  server.proxies.postgres.cut()
  await eventually(async () => (await text()).includes('ratchet_store_available{store="postgres"} 0'))
  t.notMatch(await text(), /^ratchet_outbox_oldest_seconds /m, 'not known')
})

t.test('an event is counted even if its transaction fails', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const session = await server.login(account)
  await server.db.$executeRaw`ALTER TABLE audit_events RENAME TO audit_renamed`
  t.equal((await server.call('POST', '/auth/logout-all', { bearer: session.access_token })).status, 500)
  await server.db.$executeRaw`ALTER TABLE audit_renamed RENAME TO audit_events`
  const { text } = await server.call('GET', '/metrics')
  t.ok(
    parse(text).some(({ name, labels }) => name === 'ratchet_auth_events_total' && labels.type === 'logout'),
  )
})

t.test('an unknown reason does not become a label, and neither does one beyond the limit', async (t) => {
  const metrics = createMetrics()
  const count = (reason: string) => metrics.countAuthEvent({ type: 'login', outcome: 'failure', reason })
  for (const reason of ['ann@example.com', '0190b2c4-aaaa-7bbb-8ccc-0123456789ab', 'Bearer', 'a'.repeat(41)])
    count(reason)
  const letters = 'abcdefghijklmnopqrstuvwxyz'
  for (const one of letters) for (const two of letters) count(`${one}_${two}`)
  const labels = parse(await metrics.render())
    .filter(({ name }) => name === 'ratchet_auth_events_total')
    .map(({ labels }) => labels.reason)
  t.equal(labels.length, 101)
  t.ok(labels.includes('other'))
  t.notOk(labels.some((label) => /@|-|[A-Z]|a{40}/.test(`${label}`)))
})

t.test('with their own port, metrics are served only there, and nothing else is', async (t) => {
  const port = await freePort()
  const server = await startServer(t, { env: { METRICS_PORT: String(port) } })
  t.match((await server.call('GET', '/metrics')).body, { status: 404, code: 'not_found' })
  await server.call('GET', '/healthz')
  const own = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${port}${path}`, { method })
  const scrape = await own('/metrics')
  t.equal(scrape.status, 200)
  t.match(await scrape.text(), 'ratchet_http_requests_total{method="GET",route="/healthz",status="200"} 1')
  for (const path of ['/', '/healthz', '/auth/login', '/docs']) t.equal((await own(path)).status, 404, path)
  t.equal((await own('/metrics', 'POST')).status, 405)
  await server.close()
  await t.rejects(own('/metrics'), 'closed with the app')
})

t.test('in production there are no metrics without their own port', async (t) => {
  const server = await startServer(t, { env: PRODUCTION })
  t.match((await server.call('GET', '/metrics')).body, { status: 404, code: 'not_found' })
})

t.test('a port in use is reported, and the server does not start', async (t) => {
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(async () => void taken.close())
  const { port } = taken.address() as { port: number }
  const free = await freePort()
  const config = loadConfig({
    NODE_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: String(free),
    METRICS_PORT: String(port),
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl,
    REDIS_INCARNATION: process.env.TEST_REDIS_INCARNATION,
    APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
    LOG_LEVEL: 'silent',
  })
  await t.rejects(serve(config), {
    message: `METRICS_PORT: cannot listen on 127.0.0.1, port ${port} (EADDRINUSE)`,
  })
  await t.rejects(fetch(`http://127.0.0.1:${free}/healthz`))
  const app = await buildApp({ ...config, metricsPort: undefined })
  await app.listen({ host: '127.0.0.1', port: free })
  await app.close()
  t.throws(
    () =>
      loadConfig({
        METRICS_PORT: '8080',
        APP_SECRETS: 's'.repeat(32),
        REDIS_URL: redisUrl,
        DATABASE_URL: database.url,
      }),
    {
      message: /METRICS_PORT must not be PORT/,
    },
  )
})
